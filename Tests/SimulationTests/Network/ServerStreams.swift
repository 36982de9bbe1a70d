import GRPCCore
import GRPCTransport
import ServingTypes

/// What the client asks, as the server reads it.
struct ServerInbound: AsyncSequence, Sendable {
  typealias Element = RPCRequestPart<GRPCBytes>
  typealias Failure = any Error

  let call: SimulatedCall

  struct AsyncIterator: AsyncIteratorProtocol {
    let call: SimulatedCall

    mutating func next() async throws -> Element? { try await next(isolation: nil) }

    mutating func next(isolation actor: isolated (any Actor)?) async throws -> Element? {
      try await call.requests.next()?.request
    }
  }

  func makeAsyncIterator() -> AsyncIterator { AsyncIterator(call: call) }
}

/// What the server answers. The head of a stream leaves at once, that of a single response with it.
final class ServerOutbound: ClosableRPCWriterProtocol, Sendable {
  typealias Element = RPCResponsePart<GRPCBytes>

  private let call: SimulatedCall
  private let network: SimulatedNetwork
  private let isStream: Bool
  private let head = Lock<Metadata?>(nil)
  private let hasEnded = Lock(false)

  init(call: SimulatedCall, network: SimulatedNetwork) {
    self.call = call
    self.network = network
    isStream = call.descriptor.type.map { $0.isResponseStreaming } ?? true
  }

  func write(_ element: Element) async throws {
    switch element {
    case .metadata(let metadata):
      guard isStream else { return head.withLock { $0 = metadata } }
      if call.responses.takeRoom() { network.carry([.metadata(metadata)], isEnd: false, on: call, toServer: false) }
    case .message(let bytes):
      let parts = takeHead() + [.message(bytes)]
      guard try await call.responses.waitForRoom() else {
        throw RPCError(code: .cancelled, message: "the client cancelled the call, or is gone")
      }
      network.carry(parts, isEnd: false, on: call, toServer: false)
    case .status(let status, let metadata): end(status, metadata)
    }
  }

  func write(contentsOf elements: some Sequence<Element>) async throws {
    for element in elements { try await write(element) }
  }

  func finish() async { end(Status(code: .unknown, message: "the handler ended without a status"), [:]) }

  func finish(throwing error: any Error) async {
    let error = error as? RPCError
    end(
      Status(code: Status.Code(error?.code ?? .unknown), message: error?.message ?? "the handler failed"),
      error?.metadata ?? [:])
  }

  private func end(_ status: Status, _ metadata: Metadata) {
    let hadEnded = hasEnded.withLock { ended in
      defer { ended = true }
      return ended
    }
    guard !hadEnded, call.responses.takeRoom() else { return }
    network.carry(takeHead() + [.status(status, metadata)], isEnd: true, on: call, toServer: false)
  }

  private func takeHead() -> [Part] { head.withLock { $0.take() }.map { [.metadata($0)] } ?? [] }
}
