import CgRPC
import GRPCCore

/// A connection, made and made again on demand, to one target.
final class Channel: @unchecked Sendable {  // safe: the library's channels may be used from any thread
  /// The library's default, a macro that is not imported.
  private static let propagatesAll: UInt32 = 0xFFFF

  private let raw: OpaquePointer
  private let queue: CompletionQueue

  init(target: String, security: ClientSecurity, arguments: ChannelArguments, queue: CompletionQueue) throws {
    self.queue = queue
    raw = try security.withCredentials { credentials in
      let channel = arguments.withArguments { grpc_channel_create(target, credentials, $0) }
      guard let channel else {
        throw RPCError(code: .invalidArgument, message: "the target '\(target)' cannot be used")
      }
      return channel
    }
  }

  deinit { grpc_channel_destroy(raw) }

  /// Starts to connect, without waiting.
  func connect() { _ = grpc_channel_check_connectivity_state(raw, 1) }

  func makeCall(
    method: MethodDescriptor, timeout: Duration?, arrivals: ArrivalHandler?,
    onClose: @escaping @Sendable (Call) -> Void
  ) throws -> Call {
    let path = grpc_slice(copying: "/" + method.fullyQualifiedMethod)
    defer { grpc_slice_unref(path) }
    let deadline = timeout.map { gpr_timespec(after: $0) } ?? .never
    let call = grpc_channel_create_call(
      raw, nil, Self.propagatesAll, queue.raw, path, nil, deadline, nil)
    guard let call else { throw RPCError(code: .internalError, message: "the library refused to create a call") }
    return Call(call, queue: queue, arrivals: arrivals, onClose: onClose)
  }
}
