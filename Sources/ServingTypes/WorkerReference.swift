/// One life of one worker, and where it answers.
public struct WorkerReference: Hashable, Sendable {
  public var id: WorkerID
  /// A gRPC target: host:port or unix:path.
  public var address: String
  public var incarnation: Incarnation

  public init(id: WorkerID, address: String, incarnation: Incarnation) {
    self.id = id
    self.address = address
    self.incarnation = incarnation
  }
}
