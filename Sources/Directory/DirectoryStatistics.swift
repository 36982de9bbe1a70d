/// Totals since the start, and the present state.
public struct DirectoryStatistics: Hashable, Sendable {
  /// Cluster slots are counted in this many ranges of equal size.
  public static let slotRanges = 16

  public var isConnected = true
  /// Servers that are asked: one, or a cluster's masters.
  public var servers = 1
  /// Commands that wait for the connection.
  public var pendingCommands = 0
  public var lookups = 0
  public var lookupErrors = 0
  public var lookupSeconds = 0.0
  /// Lookups by the range of Redis Cluster slots that they touch: an uneven load shows here.
  public var lookupsBySlotRange = [Int](repeating: 0, count: slotRanges)
  public var announcedBlocks = 0
  public var withdrawnBlocks = 0
  /// Expired fields that lookups removed.
  public var deletedFields = 0
  /// Calls that failed, of any kind.
  public var errors = 0
  /// The same by kind; keys without a block's data are counted one by one.
  public var failures: [DirectoryFailure: Int] = [:]
  public var reconnects = 0
  /// Times that a cluster's node sent a command elsewhere, or asked for patience, and was followed.
  public var redirections = 0
  /// Times that a cluster's slots were asked for.
  public var topologyRefreshes = 0
  /// Times that a server was restarted or replaced, and may have forgotten what it was told.
  public var possibleLosses = 0
  /// Of the last call that succeeded; nil before the first.
  public var lastSuccess: ContinuousClock.Instant?

  public init() {}
}
