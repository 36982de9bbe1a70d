import ServingTypes

/// A store for copies of blocks below the pool: host memory, a file. It keeps bytes and knows no order, no use, no limit
/// but its size; `BlockPool` keeps the books.
///
/// Called by any thread, but never by two at once for the same slot; where `mayBlock`, a read that was called off may go
/// on while the slot is written to, and what it gives is not used.
public protocol BlockTier: AnyObject, Sendable {
  /// Blocks that it holds at most.
  var capacity: Int { get }
  /// Whether its calls may take long: no block of the pool is then handed to them, only copies.
  var mayBlock: Bool { get }

  func write(_ stamp: BlockStamp, _ bytes: UnsafeRawBufferPointer, to slot: Int) throws(TierFailure)

  /// Fills `bytes` with what the slot holds.
  ///
  /// - Returns: the stamp that lies beside them, which the caller compares with what it expects, as it does the bytes.
  func read(from slot: Int, into bytes: UnsafeMutableRawBufferPointer) throws(TierFailure) -> BlockStamp
}
