import ServingTypes

/// What a worker says about itself, shared by its services. The address is known once the server listens.
public final class WorkerState: Sendable {
  public let id: WorkerID
  public let incarnation: Incarnation
  public let role: WorkerRole
  /// The model's name, as requests give it.
  public let model: String
  /// Those of requests and of blocks.
  public let calls = WorkerCalls()
  /// Of the requests that the worker sends to itself: they share no block with anybody's.
  public let selfTestSalt = "self-test-\(RequestID.random())"
  /// Empty but in tests.
  package let mutants: Mutants
  private let state: Lock<(address: String, isDraining: Bool, isReady: Bool)>

  public convenience init(
    id: WorkerID, incarnation: Incarnation = .random(), role: WorkerRole, model: String, address: String = ""
  ) {
    self.init(id: id, incarnation: incarnation, role: role, model: model, address: address, mutants: [])
  }

  package init(
    id: WorkerID, incarnation: Incarnation, role: WorkerRole, model: String, address: String, mutants: Mutants
  ) {
    self.mutants = mutants
    self.id = id
    self.incarnation = incarnation
    self.role = role
    self.model = model
    state = Lock((address, false, true))
  }

  public var reference: WorkerReference {
    WorkerReference(id: id, address: state.withLock { $0.address }, incarnation: incarnation)
  }

  public var isDraining: Bool { state.withLock { $0.isDraining } }

  /// Whether requests are welcome: neither draining nor found unable.
  public var isReady: Bool { state.withLock { $0.isReady && !$0.isDraining } }

  public func setReady(_ isReady: Bool) { state.withLock { $0.isReady = isReady } }

  public func listen(at address: String) { state.withLock { $0.address = address } }

  /// Requests are refused from now on; blocks are still lent.
  public func beginDraining() {
    state.withLock { $0.isDraining = true }
    calls.close()
  }

  /// - Throws: `failedPrecondition` when the caller speaks to another life of this worker; 0 is any.
  public func expect(incarnation expected: UInt64) throws(ServingError) {
    guard expected == 0 || expected == incarnation.value || mutants.contains(.trustStaleIncarnation) else {
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
