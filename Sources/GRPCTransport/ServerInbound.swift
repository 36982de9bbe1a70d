import GRPCCore
import ServingTypes

/// What a client asks: head, messages, end. Nothing is read from the network before it is asked for.
struct ServerInbound: AsyncSequence, Sendable {
  typealias Element = RPCRequestPart<GRPCBytes>
  typealias Failure = any Error

  let call: Call
  let metadata: Metadata
  /// Exactly one message is expected.
  let isSingle: Bool

  func makeAsyncIterator() -> Iterator { Iterator(stream: self) }

  struct Iterator: AsyncIteratorProtocol {
    private enum Phase {
      case head
      case messages
      case ended
    }

    private let stream: ServerInbound
    private var phase = Phase.head

    init(stream: ServerInbound) { self.stream = stream }

    mutating func next() async throws -> Element? { try await next(isolation: nil) }

    /// - Throws: `RPCError` with code `cancelled` where the stream did not end as the client meant it to.
    mutating func next(isolation actor: isolated (any Actor)?) async throws -> Element? {
      switch phase {
      case .head:
        phase = .messages
        return .metadata(stream.metadata)
      case .messages:
        let call = stream.call
        if let bytes = try await call.receive() {
          if stream.isSingle { phase = .ended }
          return .message(bytes)
        }
        phase = .ended
        // No message means half-closed or cancelled, and the close that tells them apart may be reported just after.
        // Whatever is asked next is answered after it.
        if !call.isClosed { _ = try await call.receive() }
        if call.wasCancelled { throw RPCError(code: .cancelled, message: "the client cancelled the call, or is gone") }
        return nil
      case .ended:
        return nil
      }
    }
  }
}
