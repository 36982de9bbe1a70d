import ServingTypes

/// What the router thought of one worker.
public struct CandidateCost: Hashable, Sendable {
  public var worker: WorkerID
  public var role: WorkerRole
  /// In blocks; the lowest wins.
  public var cost: Double
  /// Leading blocks of the prompt that the worker is believed to hold.
  public var predictedCachedBlocks: Int
  /// Blocks beyond these that it could fetch from another worker.
  public var predictedFetchableBlocks: Int
  /// The part of the cost that other requests cause, in blocks.
  public var load: Double
  public var chosen: Bool

  public init(
    worker: WorkerID, role: WorkerRole, cost: Double, predictedCachedBlocks: Int,
    predictedFetchableBlocks: Int = 0, load: Double, chosen: Bool = false
  ) {
    self.worker = worker
    self.role = role
    self.cost = cost
    self.predictedCachedBlocks = predictedCachedBlocks
    self.predictedFetchableBlocks = predictedFetchableBlocks
    self.load = load
    self.chosen = chosen
  }
}
