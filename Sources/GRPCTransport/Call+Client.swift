import CgRPC
import GRPCCore

extension Call {
  /// Asks for the status up front, so that the call's end is seen at once, whatever else is under way.
  func startClient() {
    start(.closing, count: 1) { operation in
      operation.pointee.op = GRPC_OP_RECV_STATUS_ON_CLIENT
      operation.pointee.data.recv_status_on_client.trailing_metadata = memory.address(of: \.trailingMetadata)
      operation.pointee.data.recv_status_on_client.status = memory.address(of: \.status)
      operation.pointee.data.recv_status_on_client.status_details = memory.address(of: \.details)
    }
  }

  /// Sends the request's head, and with it, where there is one, the only message and the end.
  ///
  /// - Throws: `RPCError` with code `invalidArgument` for metadata that cannot be sent.
  func sendHead(_ metadata: Metadata, waitForReady: Bool, message: GRPCBytes? = nil, end: Bool = false) throws {
    var flags = UInt32(GRPC_INITIAL_METADATA_WAIT_FOR_READY_EXPLICITLY_SET)
    if waitForReady { flags |= UInt32(GRPC_INITIAL_METADATA_WAIT_FOR_READY) }
    let buffer = message?.storage.makeByteBuffer()
    defer { if let buffer { grpc_byte_buffer_destroy(buffer) } }
    try metadata.withEntries { entries, count in
      _ = start(.detached, count: 1 + (buffer == nil ? 0 : 1) + (end ? 1 : 0)) { operations in
        var next = operations
        fillMetadata(next, entries, count, flags: flags)
        if let buffer {
          next += 1
          fillSend(next, buffer)
        }
        if end {
          next += 1
          next.pointee.op = GRPC_OP_SEND_CLOSE_FROM_CLIENT
        }
      }
    }
  }

  func sendEnd() {
    start(.detached, count: 1) { $0.pointee.op = GRPC_OP_SEND_CLOSE_FROM_CLIENT }
  }

  /// Waits for the response's head, and with it, where `withMessage` says so, for the first message.
  ///
  /// - Returns: false where the call failed before a head came.
  func receiveHead(withMessage: Bool) async throws -> Bool {
    if isIdle(.opening) {
      start(.opening, count: withMessage ? 2 : 1) { operations in
        operations[0].op = GRPC_OP_RECV_INITIAL_METADATA
        operations[0].data.recv_initial_metadata.recv_initial_metadata = memory.address(of: \.initialMetadata)
        if withMessage { fillReceive(operations + 1) }
      }
    }
    switch await wait(for: .opening) {
    case .completed(let succeeded): return succeeded
    case .cancelled: throw RPCError(code: .cancelled, message: "the task that reads the stream was cancelled")
    case .misused: throw RPCError(code: .internalError, message: "two tasks read one stream")
    }
  }

  /// Whether the server sent nothing but a status.
  var isTrailersOnly: Bool {
    switch cgrpc_call_is_trailers_only(raw) {
    case 0: false
    case 1: true
    default: memory.pointee.initialMetadata.count == 0 && isClosed
    }
  }

  /// Waits for the call's end.
  func status() async throws -> (Status, Metadata) {
    guard case .completed = await wait(for: .closing) else {
      throw RPCError(code: .cancelled, message: "the task that reads the stream was cancelled")
    }
    let code = Status.Code(rawValue: Int(memory.pointee.status.rawValue)) ?? .unknown
    let message = String(slice: &memory.pointee.details)
    return (Status(code: code, message: message), Metadata(memory.pointee.trailingMetadata))
  }
}
