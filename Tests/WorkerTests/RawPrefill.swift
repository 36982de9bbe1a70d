import GRPCCore
import GRPCProtobuf
import KVTransfer
import RPC
import ServingProtos
import ServingTypes

/// The `open` of an honest decode worker.
func prefillOpen(_ prompt: [TokenID], _ worker: TestWorker) -> Baton_V1_PrefillOpen {
  .with {
    $0.requestID = RequestID.random().value
    $0.promptTokens = wireTokens(prompt)
    $0.sampling = Baton_V1_SamplingParameters(SamplingParameters(temperature: 0, seed: 7, maxTokens: 8))
    $0.layoutDigest = worker.engine.layout.digest
    $0.layout = worker.engine.layout.description
  }
}

/// A caller of `Prefill` that says what the test wants it to say.
enum RawPrefill {
  typealias Say = AsyncStream<Baton_V1_PrefillRequest>.Continuation

  /// - Parameter onMessage: may say more; false ends the call.
  static func run(
    _ worker: TestWorker, _ channels: ChannelPool, _ open: Baton_V1_PrefillOpen,
    onMessage: @escaping @Sendable (HandoffMessage<ReceivedBlock>, Say) async throws -> Bool
  ) async throws {
    let (requests, say) = AsyncStream<Baton_V1_PrefillRequest>.makeStream()
    say.yield(.with { $0.open = open })
    try await channels.withClient(of: try ServerAddress(worker.server.boundAddress), for: .blocks) { client in
      try await client.bidirectionalStreaming(
        request: StreamingClientRequest { writer in
          for await request in requests { try await writer.write(request) }
        },
        descriptor: Baton_V1_Prefill.Method.Prefill.descriptor,
        serializer: ProtobufSerializer<Baton_V1_PrefillRequest>(), deserializer: PrefillResponseDeserializer(),
        options: .defaults
      ) { response in
        defer { say.finish() }
        for try await message in response.messages {
          if try await !onMessage(message, say) { break }
        }
      }
    }
  }
}

extension AsyncStream<Baton_V1_PrefillRequest>.Continuation {
  func credit(_ blocks: Int) { yield(.with { $0.credit = .with { $0.blocks = UInt32(blocks) } }) }
  func ack(_ blocks: Int) { yield(.with { $0.ack = .with { $0.blocks = UInt32(blocks) } }) }
}
