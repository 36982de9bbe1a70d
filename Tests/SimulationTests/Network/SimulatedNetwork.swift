import GRPCCore
import GRPCTransport
import ServingTestKit
import ServingTypes

/// Carries calls between lives of processes, with seeded delays and the faults of a plan.
///
/// A call's stream stays in order, as gRPC's does.
final class SimulatedNetwork: Sendable {
  private struct State {
    var listeners: [String: SimulatedServerTransport] = [:]
    var connections: [SimulatedConnection] = []
    var faults: [Fault]
    var applied: [FaultKind: Int] = [:]
    var appliedToDecode = 0
    var insurmountable = 0
    var fetches = 0
    var unpaidBlocks = 0
    var messages = 0
    var openClients = 0
    var openServers = 0
    /// A message that waits to be overtaken, by its call.
    var swapped: [(call: SimulatedCall, parts: [Part])] = []
  }

  /// How long a dead connection goes unnoticed: the ping's interval and its timeout.
  static let keepalive = Duration.seconds(15)
  static let longestFreeze = Duration.seconds(20)

  let simulation: Simulation
  let clock: ServingClock
  private let window: Int
  private let latency: ClosedRange<Duration>
  private let blockBytes: Int
  /// Kills a process and starts it anew; false when it can't be killed.
  private let crash: @Sendable (SimulatedLife) -> Bool
  private let state: Lock<State>

  init(
    simulation: Simulation, faults: [Fault], window: Int, latency: ClosedRange<Duration>, blockBytes: Int,
    crash: @escaping @Sendable (SimulatedLife) -> Bool
  ) {
    self.simulation = simulation
    clock = simulation.clock
    self.window = window
    self.latency = latency
    self.blockBytes = blockBytes
    self.crash = crash
    state = Lock(State(faults: faults.sorted { $0.message < $1.message }))
  }

  /// Ends of calls that are open.
  var openCalls: Int { state.withLock { $0.openClients + $0.openServers } }
  var messages: Int { state.withLock { $0.messages } }
  /// Blocks that left without credit.
  var unpaidBlocks: Int { state.withLock { $0.unpaidBlocks } }
  /// Calls by which a worker fetched a prefix from another.
  var fetches: Int { state.withLock { $0.fetches } }
  /// Faults that came to pass.
  var applied: [FaultKind: Int] { state.withLock { $0.applied } }
  /// How many of them met something other than a hand-off.
  var appliedToDecode: Int { state.withLock { $0.appliedToDecode } }

  /// How many left an answer's stream standing still without anybody's knowing, or ended it with any status.
  var insurmountable: Int { state.withLock { $0.insurmountable } }

  // MARK: Connections and calls

  func listen(_ transport: SimulatedServerTransport) {
    state.withLock { $0.listeners[transport.address] = transport }
  }

  func connect(_ life: SimulatedLife, to address: String) -> SimulatedConnection? {
    state.withLock { state in
      guard let listener = state.listeners[address], !life.isDead else { return nil }
      let connection = SimulatedConnection(from: life, to: listener.life)
      state.connections.append(connection)
      return connection
    }
  }

  func open(
    _ descriptor: MethodDescriptor, until deadline: ContinuousClock.Instant?, arrivals: ArrivalHandler?,
    on connection: SimulatedConnection
  ) -> SimulatedCall {
    let call = SimulatedCall(
      descriptor: descriptor, connection: connection, window: window, deadline: deadline, arrivals: arrivals)
    connection.add(call)
    state.withLock { state in
      state.openClients += 1
      if call.isFetch { state.fetches += 1 }
    }
    if let deadline {
      simulation.schedule(at: deadline) {
        call.endClient(.deadlineExceeded, "the deadline passed")
        call.cancelServer()
      }
    }
    return call
  }

  /// The client has done with the call.
  func close(_ call: SimulatedCall) {
    guard call.finishClient() else { return }
    state.withLock { $0.openClients -= 1 }
    call.endClient(.cancelled, "the call was cancelled")
    let connection = call.connection
    simulation.schedule(after: simulation.random(latency)) { [self] in
      if !connection.isSilent {
        call.cancelServer()
        clear(call)
        connection.remove(call)
      }
    }
  }

  func serverBegan(_ call: SimulatedCall) { state.withLock { $0.openServers += 1 } }

  func serverEnded(_ call: SimulatedCall) { state.withLock { $0.openServers -= 1 } }

  /// The life's connections end. Its peers learn of it at once, or when a ping is missed.
  func end(_ life: SimulatedLife, silently: Bool) {
    let connections = state.withLock { state in
      state.listeners = state.listeners.filter { $0.value.life !== life }
      return state.connections.filter { $0.client === life || $0.server === life }
    }
    for connection in connections { end(connection, silently: silently) }
  }

  private func end(_ connection: SimulatedConnection, silently: Bool) {
    connection.silence()
    let delay = silently ? Self.keepalive : simulation.random(latency)
    simulation.schedule(after: delay) { [self] in
      state.withLock { state in state.connections.removeAll { $0 === connection } }
      for call in connection.end() {
        call.breakOff()
        clear(call)
      }
    }
  }

  /// Lets go of what is on its way.
  private func clear(_ call: SimulatedCall) {
    let dropped = state.withLock { state in
      defer { state.swapped.removeAll { $0.call === call } }
      return state.swapped.filter { $0.call === call }
    }
    _ = dropped
    call.clear()
  }

  // MARK: Messages

  func carry(_ parts: [Part], isEnd: Bool, on call: SimulatedCall, toServer: Bool) {
    let isBlock = !toServer && call.isHandoff && parts.contains { holdsBlock($0) }
    var isMessage = false
    if call.isHandoff, !isEnd, parts.count == 1, case .message = parts[0] { isMessage = true }
    let fault = state.withLock { state -> FaultKind? in
      defer { state.messages += 1 }
      let applicable = state.faults.firstIndex { fault in
        fault.isDue(at: state.messages)
          && (!fault.kind.breaksStream || (fault.kind == .corrupt ? isBlock : isMessage))
      }
      guard let applicable else { return nil }
      return state.faults.remove(at: applicable).kind
    }
    if isBlock, !call.spendCredit() { state.withLock { $0.unpaidBlocks += 1 } }
    simulation.note(toServer ? 1 : 2)
    var parts = parts
    if let fault {
      simulation.note(100 + UInt64(fault.rawValue))
      if apply(fault, to: &parts, isEnd: isEnd, call, toServer: toServer) {
        state.withLock { state in
          state.applied[fault, default: 0] += 1
          if call.isHandoff { return }
          state.appliedToDecode += 1
          if fault == .stall || fault == .reset { state.insurmountable += 1 }
        }
      }
    }
    if parts.isEmpty, !isEnd { return }
    send(parts, isEnd: isEnd, on: call, toServer: toServer)
    let late = state.withLock { state -> [Part]? in
      guard fault != .swap, let index = state.swapped.firstIndex(where: { $0.call === call }) else { return nil }
      return state.swapped.remove(at: index).parts
    }
    if let late { send(late, isEnd: false, on: call, toServer: toServer) }
  }

  private func holdsBlock(_ part: Part) -> Bool {
    if case .message(let bytes) = part { bytes.count > blockBytes } else { false }
  }

  private func send(_ parts: [Part], isEnd: Bool, on call: SimulatedCall, toServer: Bool) {
    let connection = call.connection
    guard !connection.isSilent else { return }
    let pipe = toServer ? call.requests : call.responses
    let time = pipe.arrival(now: clock.now, delay: simulation.random(latency))
    let parcel = pipe.depart(parts)
    // What the timer holds on to, a stall may keep for ever: no lent block may be among it.
    let granting = toServer && call.isHandoff ? parts : []
    simulation.schedule(at: time) { [self] in
      guard !connection.isSilent else { return }
      if toServer, !deliver(call) { return }
      call.count(granting)
      pipe.arrive(parcel, isEnd: isEnd)
      // The server has said its last word: the client has nothing more to say either.
      if !toServer, isEnd { call.requests.stopWriter() }
    }
  }

  /// Makes sure that the server has the call. False when there is none any more.
  private func deliver(_ call: SimulatedCall) -> Bool {
    guard call.openServer() else { return true }
    let listener = state.withLock { state in
      state.listeners.values.first { $0.life === call.connection.server }
    }
    guard let listener else { return false }
    listener.accept(call)
    return true
  }

  // MARK: Faults

  /// - Returns: whether it could come to pass.
  private func apply(
    _ fault: FaultKind, to parts: inout [Part], isEnd: Bool, _ call: SimulatedCall, toServer: Bool
  ) -> Bool {
    let (client, server) = (call.connection.client, call.connection.server)
    switch fault {
    case .cut:
      end(call.connection, silently: false)
    case .halfOpen:
      end(call.connection, silently: true)
    case .stall:
      let isForGood = simulation.chance(in: 3)
      let time = clock.now + (isForGood ? .seconds(100_000) : simulation.random(.milliseconds(100)...(.seconds(20))))
      (toServer ? call.requests : call.responses).stall(until: time)
    case .delay:
      let pipe = toServer ? call.requests : call.responses
      pipe.stall(until: clock.now + simulation.random(.milliseconds(50)...(.seconds(10))))
    case .reset:
      let codes: [RPCError.Code] = [.unavailable, .unknown, .aborted, .resourceExhausted, .cancelled, .internalError]
      let code = codes[simulation.random(below: codes.count)]
      call.endClient(code, "the stream was reset")
      call.cancelServer()
    case .crashSender: return crash(toServer ? client : server)
    case .crashReceiver: return crash(toServer ? server : client)
    case .freeze: return freeze(toServer ? server : client)
    case .corrupt: corrupt(&parts)
    case .drop:
      (toServer ? call.requests : call.responses).lose()
      parts = []
    case .duplicate: send(parts, isEnd: false, on: call, toServer: toServer)
    case .swap:
      let held = parts
      state.withLock { $0.swapped.append((call, held)) }
      parts = []
    }
    return true
  }

  /// One bit of a block's payload, which lies at the message's end.
  private func corrupt(_ parts: inout [Part]) {
    for index in parts.indices {
      guard case .message(let message) = parts[index], message.count > blockBytes else { continue }
      var bytes = message.withUnsafeBytes { Array($0) }
      bytes[bytes.count - 1 - simulation.random(below: blockBytes)] ^= 1 << UInt8(simulation.random(below: 8))
      parts[index] = .message(GRPCBytes(bytes))
    }
  }

  /// The process stops. When that takes too long, its peers give it up.
  private func freeze(_ life: SimulatedLife) -> Bool {
    guard life.isWorker, !life.isDead, !life.node.isFrozen else { return false }
    let time = simulation.random(.milliseconds(20)...Self.longestFreeze)
    let node = life.node
    simulation.freeze(node)
    simulation.schedule(after: time) { [simulation] in simulation.thaw(node) }
    guard time > Self.keepalive else { return true }
    simulation.schedule(after: Self.keepalive) { [self] in
      let connections = state.withLock { state in
        state.connections.filter { $0.client === life || $0.server === life }
      }
      for connection in connections { end(connection, silently: false) }
    }
    return true
  }
}
