import ServingTypes

/// In whose name blocks are announced.
public struct AnnouncingWorker: Hashable, Sendable {
  public var worker: WorkerID
  public var incarnation: Incarnation
  public var epoch: Int
  public var layoutDigest: String

  public init(worker: WorkerID, incarnation: Incarnation, epoch: Int, layoutDigest: String) {
    self.worker = worker
    self.incarnation = incarnation
    self.epoch = epoch
    self.layoutDigest = layoutDigest
  }
}
