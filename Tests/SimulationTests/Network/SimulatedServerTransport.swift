import GRPCCore
import GRPCTransport
import ServingTypes

/// GRPCCore's server transport over a simulated network: one life of a server at its address.
final class SimulatedServerTransport: ServerTransport {
  typealias Bytes = GRPCBytes

  let address: String
  let life: SimulatedLife
  private let network: SimulatedNetwork
  private let accepted: AsyncStream<SimulatedCall>
  private let acceptor: AsyncStream<SimulatedCall>.Continuation
  private let methods = Lock<[String: MethodDescriptor]>([:])

  init(network: SimulatedNetwork, life: SimulatedLife, address: String) {
    self.network = network
    self.life = life
    self.address = address
    (accepted, acceptor) = AsyncStream.makeStream(bufferingPolicy: .bufferingOldest(1024))
  }

  func configure(context: GRPCServerContext) {
    methods.withLock { methods in
      for method in context.methods { methods[method.fullyQualifiedMethod] = method }
    }
  }

  func beginGracefulShutdown() { acceptor.finish() }

  /// A call's first word arrived.
  func accept(_ call: SimulatedCall) { acceptor.yield(call) }

  func listen(
    streamHandler: @escaping @Sendable (_ stream: RPCStream<Inbound, Outbound>, _ context: ServerContext) async -> Void
  ) async throws {
    await withDiscardingTaskGroup { calls in
      for await call in accepted { calls.addTask { await self.serve(call, streamHandler) } }
      calls.cancelAll()
    }
  }

  private func serve(
    _ call: SimulatedCall,
    _ handler: @escaping @Sendable (_ stream: RPCStream<Inbound, Outbound>, _ context: ServerContext) async -> Void
  ) async {
    network.serverBegan(call)
    defer { network.serverEnded(call) }
    let descriptor = methods.withLock { $0[call.descriptor.fullyQualifiedMethod] } ?? call.descriptor
    let outbound = ServerOutbound(call: call, network: network)
    await withServerContextRPCCancellationHandle { cancellation in
      var context = ServerContext(
        descriptor: descriptor, remotePeer: call.connection.client.name, localPeer: address, cancellation: cancellation)
      context.transportSpecific = LibGRPCServerContext(deadline: call.deadline)
      let immutableContext = context
      await withTaskGroup(of: Void.self) { group in
        group.addTask {
          await handler(
            RPCStream(
              descriptor: descriptor, inbound: RPCAsyncSequence(wrapping: ServerInbound(call: call)),
              outbound: RPCWriter.Closable(wrapping: outbound)), immutableContext)
          await outbound.finish()
          call.finishServer()
        }
        if await call.waitForServerEnd() {
          cancellation.cancel()
          group.cancelAll()
        }
      }
    }
  }
}
