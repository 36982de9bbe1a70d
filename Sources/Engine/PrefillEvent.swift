/// What a prefill for another worker reports, in this order.
public enum PrefillEvent: Sendable {
  /// Requests that go first; only the newest is kept for a slow consumer.
  case queued(ahead: Int)
  /// `blocks` loans will come, the tail included; `cachedTokens` leading tokens lay in this engine's prefix cache.
  case started(blocks: Int, cachedTokens: Int)
  case block(BlockLoan)
  case end(PrefillEnd)
}
