import Foundation
import ModelRuntime
import ServingTestKit
import ServingTypes
import Testing
import Tokenization

/// Damaged files: each gives an error or a file whose every part can be used, never a crash.
@Suite struct GGUFFuzzTests {
  /// Touches everything that a file offers.
  private func use(_ bytes: [UInt8]) {
    do throws(ServingError) {
      let file = try GGUFFile(bytes: bytes, name: "fuzzed")
      _ = try file.modelFingerprint()
      for (key, value) in file.metadata { read(file, key, value) }
      for tensor in file.tensors {
        if let data = try? file.bytes(of: tensor), !data.isEmpty {
          #expect(Int(data[0]) + Int(data[data.count - 1]) >= 0)
        }
        _ = tensor.rowBytes
      }
      if let template = try? file.makeChatTemplate() {
        _ = try? template.render(messages: [ChatMessage(role: .user, content: "hello")], addGenerationPrompt: true)
      }
      let tokenizer = try file.makeTokenizer()
      let text = " hello  world 12<|im_end|>\n\naaaaaé🦆<turn>"
      for parse in [true, false] {
        let tokens = tokenizer.encode(text, parseSpecial: parse, addSpecial: true)
        #expect(tokens.allSatisfy { $0 >= 0 && Int($0) < tokenizer.vocabularySize })
        _ = tokenizer.decode(tokens)
      }
      #expect(tokenizer.endOfGenerationTokens.allSatisfy { $0 >= 0 && Int($0) < tokenizer.vocabularySize })
    } catch {
      #expect(error.message.hasPrefix("fuzzed"), "the error names the file: \(error.message)")
    }
  }

  private func read(_ file: GGUFFile, _ key: String, _ value: GGUFValue) {
    _ = try? file.string(key)
    _ = try? file.int(key)
    _ = try? file.float(key)
    _ = try? file.bool(key)
    _ = try? file.strings(key)
    _ = try? file.byteStrings(key)
    _ = try? file.ints(key)
    _ = try? file.floats(key)
  }

  private func damaged(_ original: [UInt8], _ random: inout SplitMix64) -> [UInt8] {
    var bytes = original
    for _ in 0..<Int.random(in: 1...3, using: &random) {
      guard !bytes.isEmpty else { break }
      let place = Int.random(in: 0..<bytes.count, using: &random)
      switch Int.random(in: 0..<6, using: &random) {
      case 0: bytes.removeSubrange(place...)
      case 1: bytes[place] ^= 1 << UInt8.random(in: 0..<8, using: &random)
      case 2: bytes[place] = UInt8.random(in: .min ... .max, using: &random)
      case 3:
        let odd: [UInt64] = [0, 1, .max, 1 << 63, 1 << 32, UInt64(Int64.max), 1 << 61, 0xFFFF_FFFF]
        let number = odd.randomElement(using: &random) ?? 0
        withUnsafeBytes(of: number.littleEndian) { source in
          for (offset, byte) in source.enumerated() where place + offset < bytes.count { bytes[place + offset] = byte }
        }
      case 4: bytes.removeSubrange(place..<min(bytes.count, place + Int.random(in: 1...16, using: &random)))
      default: bytes.insert(contentsOf: bytes[place..<min(bytes.count, place + 9)], at: place)
      }
    }
    return bytes
  }

  private static func small(_ writer: GGUFWriter) -> [UInt8] {
    var writer = writer
    writer.set("general.alignment", .uint32(32))
    writer.set("llama.block_count", .uint32(2))
    writer.set("sizes", .uint64s([1, 2, 3]))
    writer.set("flag", .bool(true))
    writer.addTensor("token_embd.weight", dimensions: [32, 4], type: .q80, data: [UInt8](repeating: 3, count: 4 * 34))
    writer.addTensor("output_norm.weight", dimensions: [8], floats: [Float](repeating: 1, count: 8))
    return writer.bytes()
  }

  @Test(arguments: 0..<8 as Range<UInt64>)
  func damagedFilesAreNoDanger(seed: UInt64) {
    var random = SplitMix64(seed: seed)
    let original = Self.small(
      seed % 2 == 0 ? SyntheticModel.bytePairTokenizer() : SyntheticModel.sentencePieceTokenizer())
    use(original)
    for _ in 0..<400 { use(damaged(original, &random)) }
  }

  /// Damage near the start, where the counts are: most of a file is token texts, which may hold anything.
  @Test func damagedCountsAreNoDanger() {
    var random = SplitMix64(seed: 99)
    let original = Self.small(SyntheticModel.bytePairTokenizer())
    for _ in 0..<600 {
      let head = damaged(Array(original.prefix(220)), &random)
      use(head + original.dropFirst(220))
    }
  }

  @Test(.enabled(if: ModelFile.path(ModelFile.smolLM2) != nil))
  func damagedHeadersOfARealFileAreNoDanger() throws {
    let path = try #require(ModelFile.path(ModelFile.smolLM2))
    let handle = try #require(FileHandle(forReadingAtPath: path))
    let header = Array(try #require(try handle.read(upToCount: 3_000_000)))
    try handle.close()
    var random = SplitMix64(seed: 5)
    for _ in 0..<60 {
      let front = damaged(Array(header.prefix(2_000)), &random)
      do throws(ServingError) {
        let file = try GGUFFile(bytes: front + header.dropFirst(2_000), name: "fuzzed")
        for (key, value) in file.metadata where value != .bool(true) { read(file, key, value) }
      } catch { #expect(error.message.hasPrefix("fuzzed")) }
    }
  }
}
