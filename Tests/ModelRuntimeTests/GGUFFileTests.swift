import ModelRuntime
import ServingTestKit
import ServingTypes
import Testing

@Suite struct GGUFFileTests {
  private func sample() -> GGUFWriter {
    var writer = GGUFWriter()
    writer.set("general.architecture", .string("llama"))
    writer.set("small", .uint8(7))
    writer.set("negative", .int32(-3))
    writer.set("wide", .uint64(1 << 40))
    writer.set("ratio", .float32(0.25))
    writer.set("precise", .float64(1e-300))
    writer.set("flag", .bool(true))
    writer.set("words", .strings(["a", "", "größer"]))
    writer.set("raw", .byteStrings([[0xFF, 0], [], [0x41]]))
    writer.set("scores", .floats([1, -2.5]))
    writer.set("kinds", .int32s([1, -1, 6]))
    writer.set("sizes", .uint64s([5, 6]))
    writer.addTensor("a.weight", dimensions: [4, 2], floats: [1, 2, 3, 4, 5, 6, 7, 8])
    writer.addTensor("b.weight", dimensions: [32, 3], type: .q80, data: [UInt8](0..<102))
    return writer
  }

  private func failure(_ bytes: [UInt8]) -> ServingError? {
    do throws(ServingError) {
      _ = try GGUFFile(bytes: bytes, name: "bad.gguf")
      return nil
    } catch { return error }
  }

  /// Overwrites the bytes at `offset`.
  private func patched(_ bytes: [UInt8], at offset: Int, _ value: some FixedWidthInteger) -> [UInt8] {
    var result = bytes
    withUnsafeBytes(of: value.littleEndian) { result.replaceSubrange(offset..<offset + $0.count, with: $0) }
    return result
  }

  /// Where the text `needle` starts.
  private func find(_ needle: String, in bytes: [UInt8]) throws -> Int {
    let pattern = Array(needle.utf8)
    return try #require(
      (0...bytes.count - pattern.count).first { bytes[$0..<$0 + pattern.count].elementsEqual(pattern) })
  }

  @Test func readsMetadataOfEveryType() throws {
    let file = try GGUFFile(bytes: sample().bytes())
    #expect(try file.string("general.architecture") == "llama")
    #expect(try file.int("small") == 7)
    #expect(try file.int("negative") == -3)
    #expect(try file.int("wide") == 1 << 40)
    #expect(try file.float("ratio") == 0.25)
    #expect(file.metadata["precise"] == .float(1e-300))
    #expect(try file.bool("flag"))
    #expect(try file.strings("words") == ["a", "", "größer"])
    #expect(try file.byteStrings("raw").count == 3)
    #expect(Array(try file.byteStrings("raw")[0]) == [0xFF, 0])
    #expect(try file.floats("scores") == [1, -2.5])
    #expect(try file.ints("kinds") == [1, -1, 6])
    #expect(try file.ints("sizes") == [5, 6])
    #expect(try file.optionalString("absent") == nil)
    #expect(try file.optionalInts("absent") == nil)
  }

  @Test func readsTensors() throws {
    let file = try GGUFFile(bytes: sample().bytes())
    let first = try file.tensor("a.weight")
    #expect(first.dimensions == [4, 2])
    #expect(first.rowBytes == 16)
    #expect(try file.bytes(of: first).load(fromByteOffset: 28, as: Float.self) == 8)
    let second = try file.tensor("b.weight")
    #expect(second.type == .q80)
    #expect(second.byteCount == 102)
    #expect(try file.bytes(of: second).elementsEqual(UInt8(0)..<102))
    #expect(file.optionalTensor("c.weight") == nil)
  }

  @Test func namesTheKeyThatIsMissingOrOfAnotherType() throws {
    let file = try GGUFFile(bytes: sample().bytes(), name: "m.gguf")
    let missing = #expect(throws: ServingError.self) { try file.int("llama.block_count") }
    #expect(missing?.message == "m.gguf: llama.block_count is missing")
    let mismatch = #expect(throws: ServingError.self) { try file.int("ratio") }
    #expect(mismatch?.message == "m.gguf: ratio is a float where an integer is needed")
    #expect(throws: ServingError.self) { try file.strings("raw") }
    #expect(throws: ServingError.self) { try file.floats("kinds") }
    #expect(throws: ServingError.self) { try file.tensor("c.weight") }
  }

  @Test func refusesWhatIsNoGGUF() throws {
    let bytes = sample().bytes()
    #expect(failure([])?.code == .dataLoss)
    #expect(failure(Array("GGML".utf8) + bytes.dropFirst(4))?.code == .invalidArgument)
    #expect(failure(patched(bytes, at: 4, UInt32(2)))?.message.contains("only version 3") == true)
    #expect(failure(patched(bytes, at: 4, UInt32(3).bigEndian))?.message.contains("big-endian") == true)
    #expect(throws: ServingError.self) { try GGUFFile(path: "/nonexistent.gguf") }
    #expect(throws: ServingError.self) { try GGUFFile(path: "/") }
  }

  @Test func refusesCountsThatTheFileCannotHold() throws {
    let bytes = sample().bytes()
    for count in [UInt64.max, UInt64(Int64.max), 1 << 32, UInt64(bytes.count)] {
      #expect(failure(patched(bytes, at: 8, count))?.message.contains("tensor count at byte 8") == true)
      #expect(failure(patched(bytes, at: 16, count))?.message.contains("metadata count at byte 16") == true)
      #expect(failure(patched(bytes, at: 24, count))?.message.contains("key 0 at byte 24") == true)
      let words = try find("words", in: bytes) + 5 + 4 + 4
      #expect(failure(patched(bytes, at: words, count))?.message.contains("words at byte") == true)
      let scores = try find("scores", in: bytes) + 6 + 4 + 4
      #expect(failure(patched(bytes, at: scores, count))?.message.contains("scores at byte") == true)
    }
  }

  @Test func refusesEveryTruncation() throws {
    let bytes = sample().bytes()
    for length in 0..<bytes.count { #expect(failure(Array(bytes.prefix(length))) != nil, "length \(length)") }
  }

  @Test func refusesDuplicates() throws {
    var keys = sample()
    keys.set("small", .uint8(1))
    #expect(failure(keys.bytes())?.message.contains("appears twice") == true)
    var tensors = sample()
    tensors.addTensor("a.weight", dimensions: [1], floats: [1])
    #expect(failure(tensors.bytes())?.message.contains("appears twice") == true)
  }

  @Test func refusesBadTensors() throws {
    let bytes = sample().bytes()
    let dimensions = try find("b.weight", in: bytes) + 8
    #expect(failure(patched(bytes, at: dimensions, UInt32(0)))?.message.contains("0 dimensions") == true)
    #expect(failure(patched(bytes, at: dimensions, UInt32(5)))?.message.contains("5 dimensions") == true)
    let first = dimensions + 4
    #expect(failure(patched(bytes, at: first, UInt64(0)))?.message.contains("impossible dimension") == true)
    #expect(failure(patched(bytes, at: first, UInt64.max))?.message.contains("impossible dimension") == true)
    #expect(failure(patched(bytes, at: first, UInt64(1) << 62))?.message.contains("impossible dimension") == true)
    #expect(failure(patched(bytes, at: first, UInt64(33)))?.message.contains("blocks of 32") == true)
    #expect(failure(patched(bytes, at: first, UInt64(64)))?.message.contains("bytes of data") == true)
    let offset = first + 16 + 4
    #expect(failure(patched(bytes, at: offset, UInt64(33)))?.message.contains("no multiple of 32") == true)
    #expect(failure(patched(bytes, at: offset, UInt64.max - 31))?.message.contains("bytes of data") == true)
    #expect(failure(patched(bytes, at: offset, UInt64(0)))?.message.contains("overlaps") == true)
  }

  @Test func refusesATensorTypeOnlyWhenItIsUsed() throws {
    let bytes = sample().bytes()
    let type = try find("b.weight", in: bytes) + 8 + 4 + 16
    let file = try GGUFFile(bytes: patched(bytes, at: type, UInt32(23)))
    let tensor = try file.tensor("b.weight")
    let error = #expect(throws: ServingError.self) { try file.bytes(of: tensor) }
    #expect(error?.code == .unimplemented)
    #expect(error?.message.contains("IQ4_XS") == true)
    #expect(try file.modelFingerprint().count == 32)
  }

  @Test func honoursAlignment() throws {
    var writer = sample()
    writer.alignment = 128
    writer.set("general.alignment", .uint32(128))
    let file = try GGUFFile(bytes: writer.bytes())
    #expect(try file.bytes(of: file.tensor("b.weight")).elementsEqual(UInt8(0)..<102))
    for bad: UInt32 in [0, 1, 4, 24, 1 << 31] {
      var writer = sample()
      writer.set("general.alignment", .uint32(bad))
      #expect(failure(writer.bytes())?.message.contains("general.alignment") == true)
    }
  }

  @Test func fingerprintTellsModelsApart() throws {
    let original = try GGUFFile(bytes: sample().bytes()).modelFingerprint()
    #expect(original.utf8.count == 32)
    #expect(try GGUFFile(bytes: sample().bytes(), name: "elsewhere").modelFingerprint() == original)
    var changed = sample()
    changed.metadata[2].value = .int32(-4)
    #expect(try GGUFFile(bytes: changed.bytes()).modelFingerprint() != original)
    var bytes = sample().bytes()
    bytes[bytes.count - 1] ^= 1
    #expect(try GGUFFile(bytes: bytes).modelFingerprint() != original)
  }

  @Test(
    arguments: [ModelFile.smolLM2, ModelFile.gemma3, ModelFile.qwenHalfBillion, ModelFile.qwen].filter {
      ModelFile.path($0) != nil
    })
  func readsRealModels(name: String) throws {
    let file = try GGUFFile(path: #require(ModelFile.path(name)))
    let tokens = try file.byteStrings("tokenizer.ggml.tokens")
    #expect(tokens.count == (try file.ints("tokenizer.ggml.token_type")).count)
    #expect(try file.tensor("token_embd.weight").dimensions[1] == tokens.count)
    for tensor in file.tensors { #expect(try file.bytes(of: tensor).count == tensor.byteCount) }
    #expect(try file.modelFingerprint().count == 32)
  }
}
