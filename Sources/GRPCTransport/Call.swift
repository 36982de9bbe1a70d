import CgRPC
import GRPCCore
import Glibc
import ServingTypes

/// One RPC, on either side: starts batches of operations and hands their completions to waiting tasks.
///
/// Each waiting can be cancelled by its task at once; the operation then goes on in the library until it completes or the
/// call ends, and its result is kept for the next waiter.
final class Call: CompletionTarget, @unchecked Sendable {  // safe: memory is read after completions only
  private struct State {
    var sending = CallOperationState()
    var receiving = CallOperationState()
    var opening = CallOperationState()
    var closing = CallOperationState()

    subscript(operation: CallOperation) -> CallOperationState {
      get {
        switch operation {
        case .detached, .sending: sending
        case .receiving: receiving
        case .opening: opening
        case .closing: closing
        }
      }
      set {
        switch operation {
        case .detached, .sending: sending = newValue
        case .receiving: receiving = newValue
        case .opening: opening = newValue
        case .closing: closing = newValue
        }
      }
    }
  }

  let raw: OpaquePointer
  let memory: UnsafeMutablePointer<CallMemory>
  private let queue: CompletionQueue
  private let state = Lock(State())
  private let arrivals: ArrivalHandler?
  private let onClose: @Sendable (Call) -> Void

  /// - Parameters:
  ///   - raw: taken over.
  ///   - arrivals: is offered each message that somebody waits for.
  ///   - onClose: called once on the queue's thread when `closing` completes.
  init(
    _ raw: OpaquePointer, queue: CompletionQueue, arrivals: ArrivalHandler? = nil,
    onClose: @escaping @Sendable (Call) -> Void
  ) {
    self.raw = raw
    self.queue = queue
    self.arrivals = arrivals
    self.onClose = onClose
    memory = .create()
  }

  deinit {
    memory.destroy()
    grpc_call_unref(raw)
  }

  // MARK: Operations

  /// Starts a batch.
  ///
  /// - Parameter fill: sets up `count` operations, which are zeroed.
  /// - Returns: false where the call has ended or the library refuses the batch, or where one of this kind is under way.
  @discardableResult
  func start(_ operation: CallOperation, count: Int, _ fill: (UnsafeMutablePointer<grpc_op>) -> Void) -> Bool {
    if operation != .detached {
      guard state.withLock({ $0[operation].start() }) else { return false }
    }
    return begin(operation, count: count, fill)
  }

  /// Starts a batch of a kind that counts as running.
  private func begin(
    _ operation: CallOperation, count: Int, _ fill: (UnsafeMutablePointer<grpc_op>) -> Void
  ) -> Bool {
    let refusal = withUnsafeTemporaryAllocation(of: grpc_op.self, capacity: count) { buffer in
      guard let operations = buffer.baseAddress else { return GRPC_CALL_ERROR }
      memset(operations, 0, count * MemoryLayout<grpc_op>.stride)
      fill(operations)
      return grpc_call_start_batch(raw, operations, count, makeTag(operation.rawValue), nil)
    }
    if refusal == GRPC_CALL_OK { return true }
    discardTag()
    if operation != .detached { finish(operation, succeeded: false) }
    return false
  }

  /// Waits until the operation completes or the task is cancelled.
  func wait(for operation: CallOperation) async -> CallOutcome {
    await withTaskCancellationHandler {
      await withUnsafeContinuation { continuation in
        let outcome = state.withLock {
          $0[operation].wait(continuation, isCancelled: Task.isCancelled, persists: operation == .closing)
        }
        if let outcome { continuation.resume(returning: outcome) }
      }
    } onCancel: {
      state.withLock { $0[operation].cancelWait() }?.resume(returning: .cancelled)
    }
  }

  func isRunning(_ operation: CallOperation) -> Bool { state.withLock { $0[operation].isRunning } }
  func isIdle(_ operation: CallOperation) -> Bool { state.withLock { $0[operation].isIdle } }

  /// Whether the call has ended, for whatever reason.
  var isClosed: Bool { state.withLock { $0.closing.isCompleted } }

  override func complete(number: UInt, succeeded: Bool) {
    guard let operation = CallOperation(rawValue: number), operation != .detached else { return }
    if operation == .receiving, succeeded, let arrivals, offerMessage(to: arrivals) { return }
    finish(operation, succeeded: succeeded)
  }

  /// Offers the message that has come in place of waking who waits for it.
  ///
  /// - Returns: false where none has come, or nobody waits.
  private func offerMessage(to arrivals: ArrivalHandler) -> Bool {
    guard memory.pointee.message != nil, state.withLock({ $0.receiving.offer() }) else { return false }
    let message = takeMessage()
    let isTaken = message.map { arrivals.handle($0) } ?? false
    if !isTaken { memory.pointee.refusedMessage = message }
    switch state.withLock({ $0.receiving.settle(isTaken: isTaken) }) {
    case .again: _ = begin(.receiving, count: 1) { fillReceive($0) }
    case .resume(let waiter, let outcome): waiter?.resume(returning: outcome)
    }
    return true
  }

  private func finish(_ operation: CallOperation, succeeded: Bool) {
    let waiter = state.withLock { $0[operation].complete(succeeded, persists: operation == .closing) }
    waiter?.resume(returning: .completed(succeeded: succeeded))
    if operation == .closing { onClose(self) }
  }

  // MARK: Both sides

  /// The next message, or nil at the end of what the peer sends.
  ///
  /// - Throws: `RPCError` with code `cancelled` when the task is cancelled.
  func receive() async throws -> GRPCBytes? {
    if isIdle(.receiving) {
      start(.receiving, count: 1) { fillReceive($0) }
    }
    switch await wait(for: .receiving) {
    case .completed: return takeMessage()
    case .cancelled: throw RPCError(code: .cancelled, message: "the task that reads the stream was cancelled")
    case .misused: throw RPCError(code: .internalError, message: "two tasks read one stream")
    }
  }

  /// Sends one message and waits until flow control has accepted it.
  ///
  /// - Returns: false where the call has ended.
  /// - Throws: `RPCError` with code `cancelled` when the task is cancelled.
  func send(_ bytes: GRPCBytes) async throws -> Bool {
    let stopped = RPCError(code: .cancelled, message: "the task that writes the stream was cancelled")
    if Task.isCancelled { throw stopped }
    // A write whose task was cancelled may still be under way.
    if !isIdle(.sending), case .cancelled = await wait(for: .sending) { throw stopped }
    let buffer = bytes.storage.makeByteBuffer()
    defer { grpc_byte_buffer_destroy(buffer) }
    start(.sending, count: 1) { fillSend($0, buffer) }
    switch await wait(for: .sending) {
    case .completed(let succeeded): return succeeded
    case .cancelled: throw stopped
    case .misused: throw RPCError(code: .internalError, message: "two tasks write one stream")
    }
  }

  /// Sends one message, and waits only for the one before it: one at most is under way.
  ///
  /// - Returns: false where the call has ended.
  /// - Throws: `RPCError` with code `cancelled` when the task is cancelled.
  func sendAhead(_ bytes: GRPCBytes) async throws -> Bool {
    guard try await waitUntilSent() else { return false }
    let buffer = bytes.storage.makeByteBuffer()
    defer { grpc_byte_buffer_destroy(buffer) }
    return start(.sending, count: 1) { fillSend($0, buffer) }
  }

  /// Sends one message where none before it is under way.
  ///
  /// - Returns: false where one is, or the call has ended: nothing was sent.
  func sendNow(_ bytes: GRPCBytes) -> Bool {
    guard state.withLock({ $0.sending.startNext() }) else { return false }
    let buffer = bytes.storage.makeByteBuffer()
    defer { grpc_byte_buffer_destroy(buffer) }
    return begin(.sending, count: 1) { fillSend($0, buffer) }
  }

  /// Waits until flow control has accepted what was sent.
  ///
  /// - Returns: false where the call has ended.
  /// - Throws: `RPCError` with code `cancelled` when the task is cancelled.
  func waitUntilSent() async throws -> Bool {
    let stopped = RPCError(code: .cancelled, message: "the task that writes the stream was cancelled")
    if Task.isCancelled { throw stopped }
    if isIdle(.sending) { return true }
    switch await wait(for: .sending) {
    case .completed(let succeeded): return succeeded
    case .cancelled: throw stopped
    case .misused: throw RPCError(code: .internalError, message: "two tasks write one stream")
    }
  }

  /// Ends the call with a status of our own, at once. Does nothing once it has ended.
  func cancel(_ code: RPCError.Code = .cancelled, _ message: String = "the call was cancelled") {
    _ = grpc_call_cancel_with_status(raw, grpc_status_code(Int32(code.rawValue)), message, nil)
  }

  /// The peer's address as the library writes it, for example `ipv4:127.0.0.1:50051`.
  var peer: String {
    guard let text = grpc_call_get_peer(raw) else { return "unknown" }
    defer { gpr_free(text) }
    return String(cString: text)
  }

  /// What has been received, which becomes the caller's.
  func takeMessage() -> GRPCBytes? {
    if let refused = memory.pointee.refusedMessage {
      memory.pointee.refusedMessage = nil
      return refused
    }
    guard let buffer = memory.pointee.message else { return nil }
    memory.pointee.message = nil
    if buffer.pointee.data.raw.compression == GRPC_COMPRESS_NONE { return GRPCBytes(ByteStorage(received: buffer)) }
    defer { grpc_byte_buffer_destroy(buffer) }
    var reader = grpc_byte_buffer_reader()
    guard grpc_byte_buffer_reader_init(&reader, buffer) != 0 else { return nil }
    defer { grpc_byte_buffer_reader_destroy(&reader) }
    return GRPCBytes(ByteStorage(adopting: [grpc_byte_buffer_reader_readall(&reader)]))
  }

  func fillReceive(_ operation: UnsafeMutablePointer<grpc_op>) {
    operation.pointee.op = GRPC_OP_RECV_MESSAGE
    operation.pointee.data.recv_message.recv_message = memory.address(of: \.message)
  }

  func fillSend(_ operation: UnsafeMutablePointer<grpc_op>, _ buffer: UnsafeMutablePointer<grpc_byte_buffer>) {
    operation.pointee.op = GRPC_OP_SEND_MESSAGE
    operation.pointee.data.send_message.send_message = buffer
  }

  func fillMetadata(
    _ operation: UnsafeMutablePointer<grpc_op>, _ entries: UnsafeMutablePointer<grpc_metadata>?, _ count: Int,
    flags: UInt32 = 0
  ) {
    operation.pointee.op = GRPC_OP_SEND_INITIAL_METADATA
    operation.pointee.flags = flags
    operation.pointee.data.send_initial_metadata.count = count
    operation.pointee.data.send_initial_metadata.metadata = entries
  }
}
