import ServingTypes

/// What the router's status page shows.
public struct StatusReport: Sendable {
  public struct Worker: Sendable {
    public var id: WorkerID
    public var role: WorkerRole
    public var address: String
    public var model: String
    /// For example `live`, `draining`, `lost`.
    public var state: String
    public var runningSequences: Int
    public var waitingSequences: Int
    public var usedBlocks: Int
    public var totalBlocks: Int
    /// The router's own requests on this worker.
    public var inFlight: Int

    public init(
      id: WorkerID, role: WorkerRole, address: String, model: String, state: String, runningSequences: Int = 0,
      waitingSequences: Int = 0, usedBlocks: Int = 0, totalBlocks: Int = 0, inFlight: Int = 0
    ) {
      self.id = id
      self.role = role
      self.address = address
      self.model = model
      self.state = state
      self.runningSequences = runningSequences
      self.waitingSequences = waitingSequences
      self.usedBlocks = usedBlocks
      self.totalBlocks = totalBlocks
      self.inFlight = inFlight
    }
  }

  public var workers: [Worker]
  /// For example `redis: connected`.
  public var directory: String

  public init(workers: [Worker] = [], directory: String = "") {
    self.workers = workers
    self.directory = directory
  }
}
