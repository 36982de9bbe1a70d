import GRPCCore

/// What a server answers: head, messages, status. Nothing is read from the network before it is asked for.
struct ClientInbound: AsyncSequence, Sendable {
  typealias Element = RPCResponsePart<GRPCBytes>
  typealias Failure = any Error

  let call: Call
  /// At most one message is expected, and is received together with the head.
  let isSingle: Bool
  let maxMessageBytes: Int?

  func makeAsyncIterator() -> Iterator { Iterator(stream: self) }

  struct Iterator: AsyncIteratorProtocol {
    private enum Phase {
      case head
      case message(GRPCBytes)
      case messages
      case status
      case ended
    }

    private let stream: ClientInbound
    private var phase = Phase.head

    init(stream: ClientInbound) { self.stream = stream }

    mutating func next() async throws -> Element? { try await next(isolation: nil) }

    mutating func next(isolation actor: isolated (any Actor)?) async throws -> Element? {
      switch phase {
      case .head:
        return try await nextHead()
      case .message(let bytes):
        phase = .messages
        return .message(try checked(bytes))
      case .messages:
        guard let bytes = try await stream.call.receive() else { return try await nextStatus() }
        return .message(try checked(bytes))
      case .status:
        return try await nextStatus()
      case .ended:
        return nil
      }
    }

    private mutating func nextHead() async throws -> Element {
      let call = stream.call
      let hasHead = try await call.receiveHead(withMessage: stream.isSingle)
      let message = stream.isSingle ? call.takeMessage() : nil
      // Without a head the first part is the status: the server refused the call, or was never reached.
      if message == nil, !hasHead || call.isTrailersOnly { return try await nextStatus() }
      if let message {
        phase = .message(message)
      } else {
        phase = stream.isSingle ? .status : .messages
      }
      return .metadata(Metadata(call.memory.pointee.initialMetadata))
    }

    private mutating func nextStatus() async throws -> Element {
      let (status, metadata) = try await stream.call.status()
      phase = .ended
      return .status(status, metadata)
    }

    private mutating func checked(_ bytes: GRPCBytes) throws -> GRPCBytes {
      guard let limit = stream.maxMessageBytes, bytes.count > limit else { return bytes }
      let error = RPCError(
        code: .resourceExhausted,
        message: "the response has \(bytes.count) bytes, more than the call's limit of \(limit)")
      phase = .ended
      stream.call.cancel(error.code, error.message)
      throw error
    }
  }
}
