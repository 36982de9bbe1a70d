/// Why a tier did not keep or give a block. Each costs a block that is computed again, nothing else.
public enum TierFailure: String, Error, Hashable, Sendable, CaseIterable {
  /// No space is left.
  case full
  /// Reading or writing failed.
  case unavailable
  /// The block's place is not there any more.
  case truncated
  /// Stamp or checksum are not those of the block.
  case corrupt
  /// Computing was estimated to be faster, or came first.
  case slow
}
