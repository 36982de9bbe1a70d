/// Limits of one connection to Redis and of what is asked over it.
public struct RedisConfiguration: Sendable {
  /// For connecting, logging in included.
  public var connectTimeout: Duration
  /// For one reply. A server that is slower is taken for dead and the connection is opened again.
  public var commandTimeout: Duration
  /// What a lookup may take, from the call to the answer.
  public var lookupTimeout: Duration
  /// Commands that may wait for the connection; more are refused.
  public var maximumPendingCommands: Int
  /// Commands written before their replies are read.
  public var pipelineDepth: Int
  /// The pause before connecting again, doubled from the first to the second with each failure.
  public var minimumBackoff: Duration
  public var maximumBackoff: Duration
  /// Blocks of one prompt that a lookup looks at.
  public var maximumLookupBlocks: Int
  /// Workers of one lookup, and of the roster.
  public var maximumWorkers: Int
  /// Expired fields that one lookup removes.
  public var maximumDeletions: Int
  /// Begins every key.
  public var keyPrefix: String

  public init(
    connectTimeout: Duration = .seconds(2), commandTimeout: Duration = .seconds(2),
    lookupTimeout: Duration = .milliseconds(100), maximumPendingCommands: Int = 16_384, pipelineDepth: Int = 1024,
    minimumBackoff: Duration = .milliseconds(100), maximumBackoff: Duration = .seconds(5),
    maximumLookupBlocks: Int = 16_384, maximumWorkers: Int = 512, maximumDeletions: Int = 16,
    keyPrefix: String = "baton"
  ) {
    self.connectTimeout = connectTimeout
    self.commandTimeout = commandTimeout
    self.lookupTimeout = lookupTimeout
    self.maximumPendingCommands = maximumPendingCommands
    self.pipelineDepth = pipelineDepth
    self.minimumBackoff = minimumBackoff
    self.maximumBackoff = maximumBackoff
    self.maximumLookupBlocks = maximumLookupBlocks
    self.maximumWorkers = maximumWorkers
    self.maximumDeletions = maximumDeletions
    self.keyPrefix = keyPrefix
  }
}
