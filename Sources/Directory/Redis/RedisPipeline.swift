import ServingTypes

/// Commands as Redis reads them, one after the other in one buffer.
struct RedisPipeline: Sendable {
  private(set) var bytes: [UInt8] = []
  /// Where each command ends.
  private var ends: [Int] = []
  /// The Redis Cluster slot of each command.
  private(set) var slots: [UInt16] = []

  init() {}

  /// One command.
  init(_ arguments: String..., slot: UInt16 = 0) { append(arguments, slot: slot) }

  /// One command.
  init(_ arguments: [String], slot: UInt16) { append(arguments, slot: slot) }

  var count: Int { ends.count }

  mutating func reserve(commands: Int, bytes count: Int) {
    ends.reserveCapacity(commands)
    slots.reserveCapacity(commands)
    bytes.reserveCapacity(count)
  }

  mutating func append(_ arguments: [String], slot: UInt16) {
    begin(arguments: arguments.count)
    for argument in arguments { append(argument) }
    end(slot: slot)
  }

  /// Begins a command; its arguments and `end` must follow.
  mutating func begin(arguments: Int) {
    appendCount(UInt8(ascii: "*"), arguments)
  }

  mutating func append(_ argument: String) {
    appendCount(UInt8(ascii: "$"), argument.utf8.count)
    bytes.append(contentsOf: argument.utf8)
    appendLineEnd()
  }

  /// An argument made of a text and a hash in hexadecimal.
  mutating func append(_ prefix: [UInt8], _ hash: BlockHash) {
    appendCount(UInt8(ascii: "$"), prefix.count + 2 * BlockHash.byteCount)
    bytes.append(contentsOf: prefix)
    appendHexadecimal(hash)
    appendLineEnd()
  }

  /// One argument of all hashes in hexadecimal.
  mutating func append(_ hashes: some Collection<BlockHash>) {
    appendCount(UInt8(ascii: "$"), hashes.count * 2 * BlockHash.byteCount)
    bytes.reserveCapacity(bytes.count + hashes.count * 2 * BlockHash.byteCount + 2)
    for hash in hashes { appendHexadecimal(hash) }
    appendLineEnd()
  }

  /// Arguments that were encoded before.
  mutating func append(encoded arguments: [UInt8]) { bytes.append(contentsOf: arguments) }

  mutating func end(slot: UInt16) {
    ends.append(bytes.count)
    slots.append(slot)
  }

  /// Arguments in the form that `append(encoded:)` takes.
  static func encoded(_ arguments: String...) -> [UInt8] {
    var pipeline = RedisPipeline()
    for argument in arguments { pipeline.append(argument) }
    return pipeline.bytes
  }

  /// Some of the commands; each after an ASKING where `asking`.
  func selecting(_ indices: [Int], asking: Bool) -> RedisPipeline {
    var part = RedisPipeline()
    for index in indices {
      if asking { part.append(["ASKING"], slot: slots[index]) }
      part.bytes.append(contentsOf: bytes[(index == 0 ? 0 : ends[index - 1])..<ends[index]])
      part.end(slot: slots[index])
    }
    return part
  }

  private mutating func appendCount(_ mark: UInt8, _ count: Int) {
    bytes.append(mark)
    if count < 10 {
      bytes.append(UInt8(ascii: "0") + UInt8(count))
    } else {
      bytes.append(contentsOf: String(count).utf8)
    }
    appendLineEnd()
  }

  private mutating func appendLineEnd() {
    bytes.append(UInt8(ascii: "\r"))
    bytes.append(UInt8(ascii: "\n"))
  }

  private mutating func appendHexadecimal(_ hash: BlockHash) {
    withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 2 * BlockHash.byteCount) { digits in
      for (half, value) in [hash.high, hash.low].enumerated() {
        for place in 0..<16 {
          let nibble = UInt8(truncatingIfNeeded: value >> UInt64(60 - 4 * place)) & 15
          digits[16 * half + place] = nibble + (nibble < 10 ? UInt8(ascii: "0") : UInt8(ascii: "a") - 10)
        }
      }
      bytes.append(contentsOf: digits)
    }
  }
}
