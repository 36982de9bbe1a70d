/// Limits on what one call may carry.
public struct MessageLimits: Hashable, Sendable {
  /// Bytes; a longer message ends its call with RESOURCE_EXHAUSTED.
  public var maxReceiveMessageBytes = 16 << 20
  /// Bytes; a longer message ends its call with RESOURCE_EXHAUSTED.
  public var maxSendMessageBytes = 16 << 20
  /// Bytes of all keys and values of one head or trailer.
  public var maxMetadataBytes = 16 << 10

  public init() {}
}

/// How a dead peer is noticed on a quiet connection.
public struct Keepalive: Hashable, Sendable {
  /// A ping goes out after this time without a word from the peer.
  public var interval: Duration
  /// The connection is given up when the ping is not answered in this time.
  public var timeout: Duration
  /// Whether to ping while no call is under way.
  public var withoutCalls: Bool

  public init(interval: Duration = .seconds(10), timeout: Duration = .seconds(5), withoutCalls: Bool = false) {
    self.interval = interval
    self.timeout = timeout
    self.withoutCalls = withoutCalls
  }
}

/// How a client connects again.
public struct ConnectionBackoff: Hashable, Sendable {
  public var initial: Duration
  public var maximum: Duration
  /// What one attempt may take.
  public var attemptTimeout: Duration

  public init(
    initial: Duration = .milliseconds(100), maximum: Duration = .seconds(5), attemptTimeout: Duration = .seconds(5)
  ) {
    self.initial = initial
    self.maximum = maximum
    self.attemptTimeout = attemptTimeout
  }
}

/// Window, frame and read sizes.
public struct HTTP2Tuning: Hashable, Sendable {
  /// What a peer may send ahead of the reader on one stream, in bytes; nil for the library's own choice.
  public var lookaheadBytes: Int?
  public var maxFrameBytes: Int?
  /// Whether the window grows with the measured bandwidth-delay product.
  public var probesBandwidth: Bool
  /// Bytes asked of the socket at once: least, first and most.
  public var readChunkBytes: (minimum: Int, initial: Int, maximum: Int)? {
    get { chunks.map { ($0.minimum, $0.initial, $0.maximum) } }
    set { chunks = newValue.map { Chunks(minimum: $0.minimum, initial: $0.initial, maximum: $0.maximum) } }
  }

  private struct Chunks: Hashable, Sendable {
    var minimum: Int
    var initial: Int
    var maximum: Int
  }
  private var chunks: Chunks?

  /// For many small messages: the library's own choices.
  public static let small = HTTP2Tuning(lookaheadBytes: nil, maxFrameBytes: nil, probesBandwidth: true, chunks: nil)

  /// For messages of megabytes, by measurement: fewer and larger frames, reads and regions.
  public static let bulk = HTTP2Tuning(
    lookaheadBytes: 16 << 20, maxFrameBytes: (1 << 20) + 64, probesBandwidth: false,
    chunks: Chunks(minimum: 256 << 10, initial: 1 << 20, maximum: 4 << 20))
}
