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
  /// The other part of the cost: this prompt's blocks that the worker would have to compute.
  public var prefill = 0.0
  /// What it need not compute, in blocks; those in lower tiers count less.
  public var cached = 0.0
  /// The load's parts: blocks of prompts still to be computed there, …
  public var pending = 0.0
  /// … what blocks in use add, …
  public var active = 0.0
  /// … what waiting sequences add, …
  public var waiting = 0.0
  /// … and what the worker was lately given to compute adds.
  public var recent = 0.0
  /// Without a lease or suspected: chosen only when no other is left.
  public var isDoubtful = false

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
