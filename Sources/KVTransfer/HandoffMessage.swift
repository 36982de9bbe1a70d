import Engine

/// What the holder of blocks says on a hand-off's stream: PrefillResponse, and FetchResponse but for `queued`.
public enum HandoffMessage<Block: Sendable>: Sendable {
  case queued(ahead: Int)
  /// The number of blocks that follow, the tail included, and the leading prompt tokens that the sender had cached.
  case start(blocks: Int, cachedTokens: Int)
  case block(Block)
  case end(PrefillEnd)

  /// The message's field in the protocol, for error messages.
  var name: String {
    switch self {
    case .queued: "queued"
    case .start: "start"
    case .block: "block"
    case .end: "end"
    }
  }
}
