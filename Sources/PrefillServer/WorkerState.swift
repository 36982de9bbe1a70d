import ServingTypes

/// What a worker says about itself, shared by its services. The address is known once the server listens.
public final class WorkerState: Sendable {
  public let id: WorkerID
  public let incarnation: Incarnation
  public let role: WorkerRole
  /// The model's name, as requests give it.
  public let model: String
  private let state: Lock<(address: String, isDraining: Bool)>

  public init(
    id: WorkerID, incarnation: Incarnation = .random(), role: WorkerRole, model: String, address: String = ""
  ) {
    self.id = id
    self.incarnation = incarnation
    self.role = role
    self.model = model
    state = Lock((address, false))
  }

  public var reference: WorkerReference {
    WorkerReference(id: id, address: state.withLock { $0.address }, incarnation: incarnation)
  }

  public var isDraining: Bool { state.withLock { $0.isDraining } }

  public func listen(at address: String) { state.withLock { $0.address = address } }

  public func beginDraining() { state.withLock { $0.isDraining = true } }

  /// - Throws: `failedPrecondition` when the caller speaks to another life of this worker; 0 is any.
  public func expect(incarnation expected: UInt64) throws(ServingError) {
    guard expected == 0 || expected == incarnation.value else {
      throw ServingError(
        .failedPrecondition,
        "worker '\(id)' is in its incarnation \(incarnation); the caller expects \(Incarnation(expected))")
    }
  }

  /// - Throws: `notFound` when the request names another model; an empty name is any.
  public func expect(model name: String) throws(ServingError) {
    guard name.isEmpty || name == model else {
      throw ServingError(.notFound, "worker '\(id)' serves the model '\(model)', not '\(name)'")
    }
  }

  /// - Throws: `failedPrecondition` that names both layouts when they differ.
  public func expect(layoutDigest digest: String, description: String, of layout: KVLayout) throws(ServingError) {
    guard digest == layout.digest else {
      throw ServingError(
        .failedPrecondition,
        "the workers' KV layouts differ: the caller has \(description.isEmpty ? digest : description),"
          + " worker '\(id)' has \(layout)")
    }
  }
}
