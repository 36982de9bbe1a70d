import GRPCCore
import RPC
import ServingProtos
import ServingTypes

/// What a decode stream still has to send. A slow client's outputs are merged, one per sample, so that this is bounded by the
/// tokens that the request may generate.
final class DecodeOutbox: Sendable {
  private struct State {
    /// By sample, in the order in which they first came.
    var outputs: [Baton_V1_Output] = []
    var last: Baton_V1_DecodeResponse?
    var failure: (any Error)?
  }

  private let state = Lock(State())
  private let wakes: AsyncStream<Void>
  private let wake: AsyncStream<Void>.Continuation

  init() {
    (wakes, wake) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
  }

  func add(sample: Int, _ update: SampleText.Update) {
    state.withLock { state in
      var index = state.outputs.firstIndex { $0.sample == UInt32(sample) }
      if index == nil {
        index = state.outputs.count
        state.outputs.append(.with { $0.sample = UInt32(sample) })
      }
      guard let index else { return }
      state.outputs[index].tokens.append(contentsOf: update.tokens.map { Baton_V1_Token($0) })
      state.outputs[index].text += update.text
      if let finish = update.finish { state.outputs[index].finishReason = Baton_V1_FinishReason(finish) }
    }
    wake.yield()
  }

  /// The request is done; `response` is sent with whatever outputs are left.
  func finish(_ response: Baton_V1_DecodeResponse) {
    state.withLock { $0.last = response }
    wake.yield()
  }

  /// The request failed: the writer throws it, once what came before is sent.
  func fail(_ error: any Error) {
    state.withLock { state in
      if state.failure == nil { state.failure = error }
    }
    wake.yield()
  }

  /// Writes until the last message was.
  func write(to writer: RPCWriter<Baton_V1_DecodeResponse>) async throws {
    for await _ in wakes {
      let (response, isLast, failure) = state.withLock { state in
        var response = state.last ?? Baton_V1_DecodeResponse()
        response.outputs = state.outputs
        state.outputs = []
        return (response, state.last != nil, state.failure)
      }
      if isLast || !response.outputs.isEmpty { try await writer.write(response) }
      if isLast { return }
      if let failure { throw failure }
    }
    throw ServingError(.cancelled, "the request was cancelled")
  }
}
