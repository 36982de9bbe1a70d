import ServingProtos
import ServingTypes

extension Baton_V1_WorkerReference {
  public init(_ reference: WorkerReference) {
    self.init()
    id = reference.id.value
    address = reference.address
    incarnation = reference.incarnation.value
  }
}

extension WorkerReference {
  /// - Throws: `invalidArgument` when the address is empty.
  public init(_ message: Baton_V1_WorkerReference) throws(ServingError) {
    guard !message.address.isEmpty else {
      throw ServingError(.invalidArgument, "the reference to worker '\(message.id)' has no address")
    }
    self.init(id: WorkerID(message.id), address: message.address, incarnation: Incarnation(message.incarnation))
  }
}
