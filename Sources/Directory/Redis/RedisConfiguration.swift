/// Limits of the connections to Redis and of what is asked over them.
public struct RedisConfiguration: Sendable {
  /// For connecting, logging in included.
  public var connectTimeout: Duration
  /// For the replies to what was written at once. A server that is slower is taken for dead and the connection is opened
  /// again.
  public var commandTimeout: Duration
  /// What a lookup may take, from the call to the answer; it ends up to a quarter of this, at most 25 ms, later.
  public var lookupTimeout: Duration
  /// For one sentinel's answer.
  public var sentinelTimeout: Duration
  /// Between two questions to the sentinels while the master answers; six times as long after one that none answered.
  public var sentinelInterval: Duration
  /// Commands that may wait for a connection; more are refused.
  public var maximumPendingCommands: Int
  /// Commands written before their replies are read.
  public var pipelineDepth: Int
  /// Bytes of one reply.
  public var maximumReplyBytes: Int
  /// The pause before connecting again, doubled from the first to the second with each failure.
  public var minimumBackoff: Duration
  public var maximumBackoff: Duration
  /// Nodes of a cluster, a connection and a thread each.
  public var maximumNodes: Int
  /// How often a command follows a cluster's redirections.
  public var maximumRedirections: Int
  /// Between two questions for a cluster's slots.
  public var topologyInterval: Duration
  /// Blocks of one prompt that a lookup looks at.
  public var maximumLookupBlocks: Int
  /// Workers of one lookup, and of the roster.
  public var maximumWorkers: Int
  /// Expired fields that one lookup removes.
  public var maximumDeletions: Int
  /// A directory that failed is said to be well again after so long without a failure.
  public var quietTime: Duration
  /// Begins every key.
  public var keyPrefix: String

  public init(
    connectTimeout: Duration = .seconds(2), commandTimeout: Duration = .seconds(2),
    lookupTimeout: Duration = .milliseconds(100), sentinelTimeout: Duration = .milliseconds(300),
    sentinelInterval: Duration = .seconds(10), maximumPendingCommands: Int = 16_384, pipelineDepth: Int = 1024,
    maximumReplyBytes: Int = 4 << 20, minimumBackoff: Duration = .milliseconds(100),
    maximumBackoff: Duration = .seconds(5), maximumNodes: Int = 64, maximumRedirections: Int = 5,
    topologyInterval: Duration = .milliseconds(500), maximumLookupBlocks: Int = 16_384, maximumWorkers: Int = 512,
    maximumDeletions: Int = 16, quietTime: Duration = .seconds(5), keyPrefix: String = "baton"
  ) {
    self.connectTimeout = connectTimeout
    self.commandTimeout = commandTimeout
    self.lookupTimeout = lookupTimeout
    self.sentinelTimeout = sentinelTimeout
    self.sentinelInterval = sentinelInterval
    self.maximumPendingCommands = maximumPendingCommands
    self.pipelineDepth = pipelineDepth
    self.maximumReplyBytes = maximumReplyBytes
    self.minimumBackoff = minimumBackoff
    self.maximumBackoff = maximumBackoff
    self.maximumNodes = maximumNodes
    self.maximumRedirections = maximumRedirections
    self.topologyInterval = topologyInterval
    self.maximumLookupBlocks = maximumLookupBlocks
    self.maximumWorkers = maximumWorkers
    self.maximumDeletions = maximumDeletions
    self.quietTime = quietTime
    self.keyPrefix = keyPrefix
  }
}
