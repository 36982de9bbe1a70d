import GRPCProtobuf
import GRPCTransport
import SwiftProtobuf

/// Runs `body`, and offers each message of its calls' responses to `handle` where it arrives, instead of waking the task that
/// waits for it.
///
/// - Parameter handle: called on the transport's thread, while and only while the response's reader waits; must not wait. What it
///   refuses, by returning false, goes to the reader.
@inlinable
public func withArrivalHandler<Message: SwiftProtobuf.Message, Result>(
  _ handle: @escaping @Sendable (Message) -> Bool, _ body: () async throws -> Result
) async rethrows -> Result {
  let arrivals = ArrivalHandler { bytes in
    // The reader says what is wrong with it.
    guard let message = try? ProtobufDeserializer<Message>().deserialize(bytes) else { return false }
    return handle(message)
  }
  return try await ArrivalHandler.$current.withValue(arrivals, operation: body)
}
