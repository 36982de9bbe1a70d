import CgRPC

/// Wakes whoever reads a completion queue, with an event without a tag.
///
/// The library has no call for that. A batch of no operations completes at once, and needs nothing but a call to belong to: here one
/// that leads nowhere.
struct CompletionBell {
  private let call: OpaquePointer

  init(queue: OpaquePointer) {
    let channel = grpc_lame_client_channel_create("bell", GRPC_STATUS_UNAVAILABLE, "leads nowhere")
    defer { grpc_channel_destroy(channel) }
    let path = grpc_slice(copying: "/bell")
    defer { grpc_slice_unref(path) }
    guard let call = grpc_channel_create_call(channel, nil, 0, queue, path, nil, .never, nil) else {
      preconditionFailure("a channel that leads nowhere takes every call")
    }
    self.call = call
  }

  /// One at a time, and not after the queue's shutdown began.
  ///
  /// - Returns: false where the library refuses, and no event comes.
  func ring() -> Bool { grpc_call_start_batch(call, nil, 0, nil, nil) == GRPC_CALL_OK }

  /// Once, and before the queue is destroyed.
  func discard() { grpc_call_unref(call) }
}
