import GRPCCore
import GRPCTransport
import ServingProtos
import ServingTypes
import SwiftProtobuf

/// One call between two nodes, with the state of both its ends.
final class SimulatedCall: Sendable {
  private struct State {
    var isClientDone = false
    var isServerDone = false
    var isServerOpen = false
    /// Set once the server's handler has to end.
    var isServerCancelled = false
    /// Blocks that the server may send still.
    var credit = 0
  }

  let descriptor: MethodDescriptor
  let connection: SimulatedConnection
  let requests: SimulatedPipe
  let responses: SimulatedPipe
  /// When the caller gives up.
  let deadline: ContinuousClock.Instant?
  private let serverEnd = WaitingPlace()
  private let state = Lock(State())

  init(
    descriptor: MethodDescriptor, connection: SimulatedConnection, window: Int, deadline: ContinuousClock.Instant?,
    arrivals: ArrivalHandler?
  ) {
    self.descriptor = descriptor
    self.connection = connection
    self.deadline = deadline
    requests = SimulatedPipe(window: window)
    responses = SimulatedPipe(window: window, arrivals: arrivals)
  }

  /// Whether its stream is a hand-off's, which checks what it carries by itself.
  var isHandoff: Bool { descriptor.fullyQualifiedMethod == "baton.v1.Prefill/Prefill" || isFetch }
  var isFetch: Bool { descriptor.fullyQualifiedMethod == "baton.v1.Blocks/Fetch" }

  // MARK: The client's end

  /// The client's stream is over for a reason of its own or the network's.
  func endClient(_ code: RPCError.Code, _ message: String) {
    responses.fail(RPCError(code: code, message: message))
    requests.stopWriter()
  }

  /// - Returns: whether it was open until now.
  func finishClient() -> Bool {
    state.withLock { state in
      defer { state.isClientDone = true }
      return !state.isClientDone
    }
  }

  // MARK: The server's end

  /// - Returns: false when the server has it already, or when it was given up before it came.
  func openServer() -> Bool {
    state.withLock { state in
      if state.isServerOpen || state.isServerCancelled { return false }
      state.isServerOpen = true
      return true
    }
  }

  /// The client is gone, its deadline passed, or the connection broke.
  func cancelServer() {
    let isNew = state.withLock { state in
      defer { state.isServerCancelled = true }
      return !state.isServerCancelled && !state.isServerDone
    }
    guard isNew else { return }
    requests.fail(RPCError(code: .cancelled, message: "the client cancelled the call, or is gone"))
    responses.stopWriter()
    serverEnd.wake()
  }

  func finishServer() {
    state.withLock { $0.isServerDone = true }
    serverEnd.wake()
  }

  /// Returns when the handler is done or has to end: then true.
  func waitForServerEnd() async -> Bool {
    while true {
      let (isDone, isCancelled) = state.withLock { ($0.isServerDone, $0.isServerCancelled) }
      if isDone || isCancelled || Task.isCancelled { return !isDone }
      await serverEnd.wait()
    }
  }

  /// What the client granted, as it arrives.
  func count(_ parts: [Part]) {
    for part in parts {
      guard case .message(let bytes) = part else { continue }
      let granted = bytes.withUnsafeBytes { bytes -> Int in
        if isFetch {
          let request = try? Baton_V1_FetchRequest(serializedBytes: Array(bytes))
          if case .credit(let credit) = request?.message { return Int(credit.blocks) }
        } else {
          let request = try? Baton_V1_PrefillRequest(serializedBytes: Array(bytes))
          if case .credit(let credit) = request?.message { return Int(credit.blocks) }
        }
        return 0
      }
      state.withLock { $0.credit += granted }
    }
  }

  /// - Returns: false when the server had no credit for the block.
  func spendCredit() -> Bool {
    state.withLock { state in
      state.credit -= 1
      return state.credit >= 0
    }
  }

  // MARK: Both

  /// The connection is gone.
  func breakOff() {
    endClient(.unavailable, "the connection was lost")
    cancelServer()
  }

  /// Lets go of what was not read.
  func clear() {
    requests.clear()
    responses.clear()
  }
}
