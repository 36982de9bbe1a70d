import ServingTypes

/// The names of Baton's keys.
///
/// The part in braces is Redis Cluster's hash tag: all blocks of one chain lie in one slot, and so do all leases.
struct RedisKeys: Sendable {
  let prefix: String

  /// A sorted set of worker ids by the time at which their leases end, in milliseconds.
  var roster: String { "\(prefix):{workers}:roster" }

  /// Each lease's key is this and the worker's id.
  var leasePrefix: String { "\(prefix):{workers}:lease:" }

  func lease(_ worker: WorkerID) -> String { leasePrefix + worker.value }

  /// Each block's key is this and the block's hash in hexadecimal.
  func blockPrefix(chain: BlockHash, layoutDigest: String) -> String { "\(prefix):block:{\(chain)}:\(layoutDigest):" }

  /// The slot of the roster and of every lease.
  static let workersSlot = slot(tag: "workers")

  /// The Redis Cluster slot of a block's chain.
  static func slot(chain: BlockHash) -> UInt16 { slot(tag: chain.description) }

  static let slotCount = 16_384

  /// CRC-16/XMODEM of the hash tag, as Redis Cluster defines it.
  private static func slot(tag: String) -> UInt16 {
    var crc: UInt16 = 0
    for byte in tag.utf8 { crc = crc << 8 ^ table[Int(UInt8(truncatingIfNeeded: crc >> 8) ^ byte)] }
    return crc % UInt16(slotCount)
  }

  private static let table: [UInt16] = (0..<256).map { byte in
    var crc = UInt16(byte) << 8
    for _ in 0..<8 { crc = crc & 0x8000 == 0 ? crc << 1 : crc << 1 ^ 0x1021 }
    return crc
  }
}
