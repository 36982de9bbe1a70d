import ServingTypes

/// What went through a worker's hand-offs since its start. Any thread may count.
public final class TransferStatistics: Sendable {
  public struct Snapshot: Hashable, Sendable {
    public var sentBlocks = 0
    public var sentBytes = 0
    public var receivedBlocks = 0
    public var receivedBytes = 0
    /// Seconds from a hand-off's start to its end, summed up.
    public var sendSeconds = 0.0
    public var receiveSeconds = 0.0
    public var completedSends = 0
    public var failedSends = 0
    public var completedReceives = 0
    public var failedReceives = 0
    /// Hand-offs that were given up in favour of computing here.
    public var fallbacks = 0
  }

  private let state = Lock(Snapshot())

  public init() {}

  public var snapshot: Snapshot { state.withLock { $0 } }

  public func count(_ change: (inout Snapshot) -> Void) { state.withLock { change(&$0) } }
}
