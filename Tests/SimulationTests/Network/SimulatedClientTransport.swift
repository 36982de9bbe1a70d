import GRPCCore
import GRPCTransport
import ServingTypes

/// GRPCCore's client transport over a simulated network.
final class SimulatedClientTransport: ClientTransport {
  typealias Bytes = GRPCBytes

  let retryThrottle: RetryThrottle? = nil
  private let network: SimulatedNetwork
  private let life: SimulatedLife
  private let address: String
  private let connection = Lock<SimulatedConnection?>(nil)

  init(network: SimulatedNetwork, life: SimulatedLife, address: String) {
    self.network = network
    self.life = life
    self.address = address
  }

  func connect() async throws {}
  func beginGracefulShutdown() {}
  func config(forMethod descriptor: MethodDescriptor) -> MethodConfig? { nil }

  func withStream<Result: Sendable>(
    descriptor: MethodDescriptor, options: CallOptions,
    _ closure: (_ stream: RPCStream<Inbound, Outbound>, _ context: ClientContext) async throws -> Result
  ) async throws -> Result {
    guard let connection = openConnection() else {
      // As long as a refused connection takes.
      try await network.clock.sleep(for: .milliseconds(1))
      throw RPCError(code: .unavailable, message: "nobody listens at \(address)")
    }
    let call = network.open(
      descriptor, until: CallDeadline.current, arrivals: ArrivalHandler.current, on: connection)
    defer { network.close(call) }
    return try await withTaskCancellationHandler {
      try await closure(
        RPCStream(
          descriptor: descriptor, inbound: RPCAsyncSequence(wrapping: ClientInbound(call: call)),
          outbound: RPCWriter.Closable(wrapping: ClientOutbound(call: call, network: network))),
        ClientContext(descriptor: descriptor, remotePeer: address, localPeer: life.name))
    } onCancel: {
      network.close(call)
    }
  }

  private func openConnection() -> SimulatedConnection? {
    connection.withLock { connection in
      if let connection, !connection.isOver { return connection }
      connection = network.connect(life, to: address)
      return connection
    }
  }
}
