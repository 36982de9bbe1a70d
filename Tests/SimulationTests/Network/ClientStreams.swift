import GRPCCore
import GRPCTransport
import ServingTypes

/// What the server answers, as the client reads it.
struct ClientInbound: AsyncSequence, Sendable {
  typealias Element = RPCResponsePart<GRPCBytes>
  typealias Failure = any Error

  let call: SimulatedCall

  struct AsyncIterator: AsyncIteratorProtocol {
    let call: SimulatedCall
    var isOver = false

    mutating func next() async throws -> Element? { try await next(isolation: nil) }

    mutating func next(isolation actor: isolated (any Actor)?) async throws -> Element? {
      if isOver { return nil }
      do throws(RPCError) {
        guard let part = try await call.responses.next() else { return nil }
        if case .status = part { isOver = true }
        return part.response
      } catch {
        // A call that ended without a word of the server's ends with a status all the same.
        if Task.isCancelled { throw error }
        isOver = true
        return .status(Status(code: Status.Code(error.code), message: error.message), [:])
      }
    }
  }

  func makeAsyncIterator() -> AsyncIterator { AsyncIterator(call: call) }
}

/// What the client asks. Its head travels with the first message, a single message with the end.
final class ClientOutbound: ClosableRPCWriterProtocol, Sendable {
  typealias Element = RPCRequestPart<GRPCBytes>

  private let call: SimulatedCall
  private let network: SimulatedNetwork
  private let isSingle: Bool
  private let head = Lock<Metadata?>(nil)
  private let hasEnded = Lock(false)

  init(call: SimulatedCall, network: SimulatedNetwork) {
    self.call = call
    self.network = network
    isSingle = call.descriptor.type.map { !$0.isRequestStreaming } ?? false
  }

  func write(_ element: Element) async throws {
    switch element {
    case .metadata(let metadata):
      head.withLock { [metadata] head in head = metadata }
    case .message(let bytes):
      let parts = takeHead() + [.message(bytes)]
      guard try await call.requests.waitForRoom() else {
        throw RPCError(code: .unavailable, message: "the server ended the call before the request was sent")
      }
      if isSingle { hasEnded.withLock { $0 = true } }
      network.carry(parts, isEnd: isSingle, on: call, toServer: true)
    }
  }

  func write(contentsOf elements: some Sequence<Element>) async throws {
    for element in elements { try await write(element) }
  }

  func finish() async {
    let hadEnded = hasEnded.withLock { ended in
      defer { ended = true }
      return ended
    }
    guard !hadEnded, call.requests.takeRoom() else { return }
    network.carry(takeHead(), isEnd: true, on: call, toServer: true)
  }

  func finish(throwing error: any Error) async { network.close(call) }

  private func takeHead() -> [Part] { head.withLock { $0.take() }.map { [.metadata($0)] } ?? [] }
}
