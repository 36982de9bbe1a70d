import CgRPC
import GRPCCore

extension Call {
  /// Asks for the close up front, so that a cancellation is seen at once, whatever else is under way.
  func startServer() {
    start(.closing, count: 1) { operation in
      operation.pointee.op = GRPC_OP_RECV_CLOSE_ON_SERVER
      operation.pointee.data.recv_close_on_server.cancelled = memory.address(of: \.cancelled)
    }
  }

  /// Whether the call ended otherwise than by our status. Right once `closing` has completed.
  var wasCancelled: Bool { isClosed && memory.pointee.cancelled != 0 }

  /// Waits for the call's end.
  ///
  /// - Returns: true where it was cancelled, its deadline passed, or the client is gone.
  func waitUntilClosed() async -> Bool {
    if case .completed = await wait(for: .closing) { return wasCancelled }
    return true
  }

  /// Sends the response's head.
  ///
  /// - Throws: `RPCError` with code `invalidArgument` for metadata that cannot be sent.
  func sendHead(_ metadata: Metadata) throws {
    try metadata.withEntries { entries, count in
      _ = start(.detached, count: 1) { fillMetadata($0, entries, count) }
    }
  }

  /// Sends the response's end, and with it, where they were held back, its head and its only message.
  ///
  /// - Parameter head: nil where the head has been sent.
  func sendEnd(_ status: Status, trailing: Metadata, head: Metadata?, message: GRPCBytes?) throws {
    let buffer = message?.storage.makeByteBuffer()
    defer { if let buffer { grpc_byte_buffer_destroy(buffer) } }
    var details = grpc_slice(copying: status.message)
    defer { grpc_slice_unref(details) }
    try (head ?? [:]).withEntries { headEntries, headCount in
      try trailing.withEntries { trailingEntries, trailingCount in
        let count = 1 + (head == nil ? 0 : 1) + (buffer == nil ? 0 : 1)
        withUnsafeMutablePointer(to: &details) { details in
          let started = start(.detached, count: count) { operations in
            var next = operations
            if head != nil {
              fillMetadata(next, headEntries, headCount)
              next += 1
            }
            if let buffer {
              fillSend(next, buffer)
              next += 1
            }
            next.pointee.op = GRPC_OP_SEND_STATUS_FROM_SERVER
            next.pointee.data.send_status_from_server.status = grpc_status_code(Int32(status.code.rawValue))
            next.pointee.data.send_status_from_server.status_details = status.message.isEmpty ? nil : details
            next.pointee.data.send_status_from_server.trailing_metadata = trailingEntries
            next.pointee.data.send_status_from_server.trailing_metadata_count = trailingCount
          }
          // A call without a status would never close.
          if !started { cancel(.internalError, "the status could not be sent") }
        }
      }
    }
  }
}
