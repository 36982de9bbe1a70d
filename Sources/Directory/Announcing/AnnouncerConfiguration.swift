/// How a worker keeps the directory informed.
public struct AnnouncerConfiguration: Sendable {
  /// A worker that is silent for this long is taken for dead.
  public var leaseLifetime: Duration
  /// Between two renewals of the lease, each with the present load.
  public var heartbeat: Duration
  /// Between two looks at what changed in the cache.
  public var pollInterval: Duration
  /// Entries are forgotten after this; residents are announced again every half of it.
  public var blockLifetime: Duration
  /// Blocks of one announcement.
  public var batchSize: Int
  /// Announcements of one poll, so that a large cache does not keep the lease waiting; the next poll follows at once.
  public var batchesPerPoll: Int
  /// The pause before everything is announced once more, doubled from the first to the second while that happens again and
  /// again.
  public var minimumBackoff: Duration
  public var maximumBackoff: Duration

  public init(
    leaseLifetime: Duration = .seconds(5), heartbeat: Duration = .seconds(1),
    pollInterval: Duration = .milliseconds(200), blockLifetime: Duration = .seconds(600), batchSize: Int = 1024,
    batchesPerPoll: Int = 16, minimumBackoff: Duration = .milliseconds(500), maximumBackoff: Duration = .seconds(10)
  ) {
    self.leaseLifetime = leaseLifetime
    self.heartbeat = heartbeat
    self.pollInterval = pollInterval
    self.blockLifetime = blockLifetime
    self.batchSize = batchSize
    self.batchesPerPoll = batchesPerPoll
    self.minimumBackoff = minimumBackoff
    self.maximumBackoff = maximumBackoff
  }
}
