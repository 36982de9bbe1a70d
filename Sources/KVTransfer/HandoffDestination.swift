/// Where the blocks of a hand-off go. One task calls it, in the protocol's order.
public protocol HandoffDestination: Sendable {
  /// The sender has not begun: so many requests are before this one.
  mutating func queued(ahead: Int)

  /// Finds memory for the blocks that the sender announced.
  ///
  /// - Returns: what they must prove to be, in order.
  mutating func bind(_ count: Int) async throws -> [ExpectedBlock]

  /// Writes the payload where the block at `position` of those belongs.
  ///
  /// - Returns: the CRC-32C of what was written.
  mutating func write(_ block: ReceivedBlock, at position: Int) throws -> UInt32

  /// The block at `position` was verified.
  mutating func commit(at position: Int, checksum: UInt32)

  /// A message was dealt with, `start` or a later one.
  mutating func advanced()

  /// The sender's end came and was right; the call's status follows.
  mutating func completed()
}

extension HandoffDestination {
  public mutating func queued(ahead: Int) {}
  public mutating func advanced() {}
  public mutating func completed() {}
}
