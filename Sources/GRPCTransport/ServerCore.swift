import CgRPC
import GRPCCore
import ServingTypes

/// A call that has arrived.
struct AcceptedCall: Sendable {
  let call: Call
  let path: String
  let metadata: Metadata
  let timeout: Duration?
}

/// The library's server: bound when created, started once, shut down once.
final class ServerCore: @unchecked Sendable {  // safe: servers are thread-safe, state is locked
  private enum State {
    case bound
    case started
    case stopping
    /// Freed by the library.
    case stopped
  }

  let raw: OpaquePointer
  let queue: CompletionQueue
  /// As bound: a port that was given as 0 is the real one.
  let port: Int
  private let state = Lock(State.bound)

  /// - Throws: `RPCError` with code `unavailable` where the address cannot be bound.
  init(address: String, security: ServerSecurity, arguments: ChannelArguments, queue: CompletionQueue) throws {
    self.queue = queue
    guard let server = arguments.withArguments({ grpc_server_create($0, nil) }) else {
      throw RPCError(code: .internalError, message: "the library refused to create a server")
    }
    grpc_server_register_completion_queue(server, queue.raw, nil)
    raw = server
    do {
      port = try security.withCredentials { credentials in
        let port = grpc_server_add_http2_port(server, address, credentials)
        guard port != 0 else {
          throw RPCError(
            code: .unavailable,
            message: "cannot listen on '\(address)': the address is in use or wrong, or the TLS material is unusable")
        }
        return Int(port)
      }
    } catch {
      ServerShutdown(server: server, queue: queue, beforeFreeing: {}, onDone: {}).begin()
      throw error
    }
  }

  deinit {
    // Only a server that never listened gets here without having been shut down.
    if state.withLock({ $0 == .bound }) {
      ServerShutdown(server: raw, queue: queue, beforeFreeing: {}, onDone: {}).begin()
    }
  }

  /// Starts to serve, with room for `slots` calls that arrive at once.
  ///
  /// - Returns: false where it was started or stopped before.
  func start(slots: Int, onAccept: @escaping @Sendable (AcceptedCall) -> Void, onClose: @escaping @Sendable () -> Void)
    -> Bool
  {
    // Inside the lock: a shutdown on another thread would free the server.
    state.withLock { state in
      guard state == .bound else { return false }
      state = .started
      grpc_server_start(raw)
      for _ in 0..<slots { AcceptSlot(server: self, onAccept: onAccept, onClose: onClose).arm() }
      return true
    }
  }

  /// Stops accepting; calls under way go on. `onDone` is called once all are over and their connections are closed.
  func shutDown(onDone: @escaping @Sendable () -> Void) {
    let isFirst = state.withLock { state in
      guard state == .bound || state == .started else { return false }
      state = .stopping
      return true
    }
    guard isFirst else { return }
    ServerShutdown(
      server: raw, queue: queue, beforeFreeing: { self.state.withLock { $0 = .stopped } }, onDone: onDone
    ).begin()
  }

  /// Ends the calls under way at once.
  func cancelCalls() {
    state.withLock { state in
      if state == .started || state == .stopping { grpc_server_cancel_all_calls(raw) }
    }
  }
}

/// Shuts a server down and frees it when the library is done with it.
private final class ServerShutdown: CompletionTarget, @unchecked Sendable {  // safe: constant
  private let server: OpaquePointer
  private let queue: CompletionQueue
  private let beforeFreeing: @Sendable () -> Void
  private let onDone: @Sendable () -> Void

  init(
    server: OpaquePointer, queue: CompletionQueue, beforeFreeing: @escaping @Sendable () -> Void,
    onDone: @escaping @Sendable () -> Void
  ) {
    self.server = server
    self.queue = queue
    self.beforeFreeing = beforeFreeing
    self.onDone = onDone
  }

  func begin() { grpc_server_shutdown_and_notify(server, queue.raw, makeTag(0)) }

  override func complete(number: UInt, succeeded: Bool) {
    beforeFreeing()
    grpc_server_destroy(server)
    onDone()
  }
}

/// Room for one call to arrive in; used again after each.
private final class AcceptSlot: CompletionTarget, @unchecked Sendable {  // safe: touched between completions only
  private struct Memory {
    var call: OpaquePointer?
    var details = grpc_call_details()
    var metadata = grpc_metadata_array()
  }

  private let server: ServerCore
  private let onAccept: @Sendable (AcceptedCall) -> Void
  private let onClose: @Sendable () -> Void
  private let memory = UnsafeMutablePointer<Memory>.allocate(capacity: 1)

  init(
    server: ServerCore, onAccept: @escaping @Sendable (AcceptedCall) -> Void, onClose: @escaping @Sendable () -> Void
  ) {
    self.server = server
    self.onAccept = onAccept
    self.onClose = onClose
    memory.initialize(to: Memory())
  }

  deinit {
    grpc_call_details_destroy(&memory.pointee.details)
    grpc_metadata_array_destroy(&memory.pointee.metadata)
    memory.deallocate()
  }

  func arm() {
    let base = UnsafeMutableRawPointer(memory)
    func address<Field>(_ field: KeyPath<Memory, Field>, _ type: Field.Type) -> UnsafeMutablePointer<Field> {
      guard let offset = MemoryLayout<Memory>.offset(of: field) else { preconditionFailure("a stored field") }
      return (base + offset).assumingMemoryBound(to: Field.self)
    }
    let refusal = grpc_server_request_call(
      server.raw, address(\.call, OpaquePointer?.self), address(\.details, grpc_call_details.self),
      address(\.metadata, grpc_metadata_array.self), server.queue.raw, server.queue.raw, makeTag(0))
    if refusal != GRPC_CALL_OK { discardTag() }
  }

  override func complete(number: UInt, succeeded: Bool) {
    // Not succeeded: the server is shutting down.
    guard succeeded, let raw = memory.pointee.call else { return }
    let accepted = AcceptedCall(
      call: Call(raw, queue: server.queue, onClose: { [onClose] _ in onClose() }),
      path: String(slice: &memory.pointee.details.method),
      metadata: Metadata(memory.pointee.metadata),
      timeout: memory.pointee.details.deadline.remaining)
    grpc_call_details_destroy(&memory.pointee.details)
    grpc_metadata_array_destroy(&memory.pointee.metadata)
    memory.pointee = Memory()
    arm()
    onAccept(accepted)
  }
}
