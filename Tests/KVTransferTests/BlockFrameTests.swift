import Foundation
import KVTransfer
import ServingProtos
import ServingTestKit
import ServingTypes
import SwiftProtobuf
import Testing

/// A decoded message must equal what was encoded, whoever encoded it, and damage must be named.
@Suite struct BlockFrameTests {
  static let frames: [BlockFrame] = [
    BlockFrame(
      index: 0, hash: BlockHash(high: 1, low: 2), parentHash: BlockHash(high: 0, low: 0), tokenCount: 16, checksum: 0),
    BlockFrame(
      index: 70_000, hash: BlockHash(high: .max, low: 7), parentHash: BlockHash(high: 3, low: 4), tokenCount: 64,
      checksum: .max),
    BlockFrame(
      index: 3, hash: nil, parentHash: BlockHash(high: 3, low: 4), tokenCount: 3, checksum: 0xdead_beef,
      tokens: [0, 300, 70_000]),
    BlockFrame(
      index: 1, hash: nil, parentHash: BlockHash(high: 9, low: 9), tokenCount: 1, checksum: 1, group: 1, firstLayer: 4,
      layerCount: 12, tokens: [.max]),
  ]

  func payload(_ count: Int) -> [UInt8] { (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ 7) } }

  func message(_ frame: BlockFrame, _ payload: [UInt8]) -> Baton_V1_PrefillResponse {
    var block = Baton_V1_BlockFrame()
    block.index = UInt32(frame.index)
    block.hash = frame.hash.map { Data($0.bytes) } ?? Data()
    block.parentHash = Data(frame.parentHash.bytes)
    block.tokenCount = UInt32(frame.tokenCount)
    block.checksum = frame.checksum
    block.group = UInt32(frame.group)
    block.firstLayer = UInt32(frame.firstLayer)
    block.layerCount = UInt32(frame.layerCount)
    block.tokens = frame.tokens.map(UInt32.init)
    block.payload = Data(payload)
    return .with { $0.block = block }
  }

  func decode(_ bytes: [UInt8], head: Int? = nil) throws -> BlockFrameDecoder.Message {
    try bytes.withUnsafeBytes {
      try BlockFrameDecoder.decode(
        head: UnsafeRawBufferPointer(rebasing: $0[..<(head ?? bytes.count)]), count: $0.count)
    }
  }

  @Test(arguments: frames, [1, 100, 5000])
  func anyProtobufLibraryReadsOurFrames(frame: BlockFrame, count: Int) throws {
    let payload = payload(count)
    let bytes = frame.prefix(payloadCount: payload.count) + payload
    #expect(try Baton_V1_PrefillResponse(serializedBytes: bytes) == message(frame, payload))
    let fetched = try Baton_V1_FetchResponse(serializedBytes: bytes)
    #expect(fetched.block.payload == Data(payload))
    #expect(fetched.unknownFields.data.isEmpty)
  }

  @Test(arguments: frames, [1, 100, 5000])
  func weReadTheFramesOfAnyProtobufLibrary(frame: BlockFrame, count: Int) throws {
    let payload = payload(count)
    let bytes: [UInt8] = try message(frame, payload).serializedBytes()
    guard case .block(let decoded, let range) = try decode(bytes) else {
      Issue.record("no block")
      return
    }
    #expect(decoded == frame)
    #expect(Array(bytes[range]) == payload)
  }

  @Test func theFirstBytesSufficeForOurFrames() throws {
    let frame = Self.frames[2]
    let prefix = frame.prefix(payloadCount: 5000)
    let bytes = prefix + payload(5000)
    #expect(try decode(bytes, head: prefix.count) == .block(frame, payload: prefix.count..<bytes.count))
    #expect(throws: WireError.needsMoreBytes) { try decode(bytes, head: prefix.count - 1) }
  }

  /// Every field moved behind the payload, and unknown fields of each wire type around.
  @Test func fieldsMayComeInAnyOrder() throws {
    let frame = Self.frames[1]
    let payload = payload(40)
    let whole: [UInt8] = try message(frame, payload).block.serializedBytes()
    let payloadField: [UInt8] = [0x7a, 40] + payload
    let others = Array(whole.dropLast(payloadField.count))
    #expect(Array(whole.suffix(payloadField.count)) == payloadField)
    let unknown: [UInt8] =
      [0xa0, 0x06, 0x96, 0x01] + [0xa1, 0x06, 1, 2, 3, 4, 5, 6, 7, 8] + [0xa2, 0x06, 3, 1, 2, 3]
      + [0xa5, 0x06, 1, 2, 3, 4]
    let body = unknown + payloadField + others + unknown
    let bytes = unknown + [0x1a, UInt8(body.count & 0x7f | 0x80), UInt8(body.count >> 7)] + body + unknown
    #expect(try Baton_V1_PrefillResponse(serializedBytes: bytes).block.payload == Data(payload))
    guard case .block(let decoded, let range) = try decode(bytes) else {
      Issue.record("no block")
      return
    }
    #expect(decoded == frame)
    #expect(Array(bytes[range]) == payload)
  }

  @Test func unpackedTokensAreRead() throws {
    var inner: [UInt8] = [0x1a, 16] + [UInt8](repeating: 0, count: 16)
    inner += [0x48, 5, 0x48, 0xac, 0x02, 0x7a, 1, 9]
    guard case .block(let frame, _) = try decode([0x1a, UInt8(inner.count)] + inner) else {
      Issue.record("no block")
      return
    }
    #expect(frame.tokens == [5, 300])
  }

  @Test func otherMessagesAreNoBlocks() throws {
    let start = Baton_V1_PrefillResponse.with { $0.start = .with { $0.blocks = 3 } }
    #expect(try decode(try start.serializedBytes()) == .other)
    #expect(try decode([]) == .other)
  }

  static let damaged: [(bytes: [UInt8], names: String)] = [
    ([0x1a], "length of block"),
    ([0x1a, 5, 1], "block is 5 bytes long"),
    ([0x1a, 0], "block.parent_hash is missing"),
    ([0x1a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f], "does not fit 64 bits"),
    ([0x1a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01], "its message has 0 left"),
    ([0x1a, 2, 0x12, 0], "block.hash is 0 bytes long"),
    ([0x1a, 3, 0x12, 5, 1], "block.hash is 5 bytes long"),
    ([0x1a, 4, 0x08, 1, 0x08, 2], "field 1 of block is there twice"),
    ([0x1a, 2, 0x0a, 0], "block.index has the wire type"),
    ([0x1a, 6, 0x08, 0xff, 0xff, 0xff, 0xff, 0x7f], "block.index does not fit 32 bits"),
    ([0x1a, 6, 0x08, 0xff, 0xff, 0xff, 0xff, 0x0f], "block.index is 4294967295"),
    ([0x1a, 3, 0x2d, 1, 2], "inside block.checksum"),
    ([0x1a, 1, 0x0b], "wire type 3"),
    ([0x1a, 2, 0x00, 0x00], "number 0"),
    ([0x1a, 0, 0x1a, 0], "block is there twice"),
    ([0x1a, 0, 0x12, 0], "another message"),
    ([0x1a, 18, 0x1a, 16] + [UInt8](repeating: 0, count: 16), "block.payload is missing"),
    ([0x1a, 7, 0x4a, 5, 0xff, 0xff, 0xff, 0xff, 0x0f], "block.tokens has the value"),
  ]

  @Test(arguments: damaged)
  func damageIsNamed(bytes: [UInt8], names: String) {
    do {
      let message = try decode(bytes)
      Issue.record("read \(message)")
    } catch let error as WireError {
      guard case .malformed(let text) = error else {
        Issue.record("\(error)")
        return
      }
      #expect(text.contains(names), "\(text)")
    } catch {
      Issue.record("\(error)")
    }
  }

  /// Seeded mutations: an error or a message, and never a read outside the bytes or a range outside the message.
  @Test func mutationsNeverCrash() throws {
    var random = SplitMix64(seed: 0x5eed)
    let seeds = try Self.frames.map { frame -> [UInt8] in try message(frame, payload(90)).serializedBytes() }
    for _ in 0..<20_000 {
      var bytes = seeds[Int(random.next() % UInt64(seeds.count))]
      for _ in 0...random.next() % 4 {
        let at = Int(random.next() % UInt64(bytes.count))
        switch random.next() % 4 {
        case 0: bytes[at] ^= 1 << UInt8(random.next() % 8)
        case 1: bytes[at] = UInt8(truncatingIfNeeded: random.next())
        case 2: bytes.removeLast(min(bytes.count - 1, at))
        default: bytes.insert(0xff, at: at)
        }
      }
      let head = Int(random.next() % UInt64(bytes.count + 1))
      for head in [head, bytes.count] {
        if case .block(_, let range) = try? decode(bytes, head: head) {
          #expect(range.lowerBound >= 0 && range.upperBound <= bytes.count)
        }
      }
    }
  }
}
