import GRPCCore
import GRPCProtobuf
import GRPCTransport
import SwiftProtobuf

/// Writes messages of a streamed response that can leave at once, beside the response's own writer, which waits.
///
/// One of both at a time.
public struct ImmediateWriter<Message: SwiftProtobuf.Message>: Sendable {
  private let writeNow: @Sendable (GRPCBytes) -> Bool

  /// - Parameter context: of the call. With other transports than libgrpc's nothing can leave at once.
  public init(_ context: ServerContext) {
    if let context = context.transportSpecific as? LibGRPCServerContext {
      writeNow = context.writeNow
    } else {
      writeNow = { _ in false }
    }
  }

  /// - Returns: false where one is under way, the response's head was not written, or the call is over: nothing was written.
  public func write(_ message: Message) -> Bool {
    guard let bytes: GRPCBytes = try? ProtobufSerializer<Message>().serialize(message) else { return false }
    return writeNow(bytes)
  }
}
