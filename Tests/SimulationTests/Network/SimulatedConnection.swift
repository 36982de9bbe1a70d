import ServingTypes

/// What one client's transport holds to one life of a server. Calls on it die together.
final class SimulatedConnection: Sendable {
  private struct State {
    var calls: [SimulatedCall] = []
    var isSilent = false
    var isOver = false
  }

  let client: SimulatedLife
  let server: SimulatedLife
  private let state = Lock(State())

  init(from client: SimulatedLife, to server: SimulatedLife) {
    self.client = client
    self.server = server
  }

  /// Nothing arrives any more, and nobody knows yet.
  var isSilent: Bool { state.withLock { $0.isSilent || $0.isOver } }
  /// New calls need a new one.
  var isOver: Bool { state.withLock { $0.isOver } }

  func add(_ call: SimulatedCall) { state.withLock { $0.calls.append(call) } }
  func remove(_ call: SimulatedCall) { state.withLock { $0.calls.removeAll { $0 === call } } }
  func silence() { state.withLock { $0.isSilent = true } }

  /// - Returns: the calls that end with it.
  func end() -> [SimulatedCall] {
    state.withLock { state in
      state.isOver = true
      defer { state.calls = [] }
      return state.calls
    }
  }
}
