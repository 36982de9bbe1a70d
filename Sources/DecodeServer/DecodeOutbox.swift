import GRPCCore
import RPC
import ServingProtos
import ServingTypes

/// What a decode stream still has to send. A slow client's outputs are merged, so that this is bounded by the tokens that the
/// request may generate, and leave in messages of limited size.
final class DecodeOutbox: Sendable {
  private struct State {
    /// Of the prompt's own tokens, sent before all outputs.
    var promptLogprobs: ArraySlice<GeneratedToken> = []
    var prefillFailures: [Baton_V1_PrefillFailure] = []
    /// Those of one sample in order.
    var outputs: [Baton_V1_Output] = []
    var last: Baton_V1_DecodeResponse?
    var failure: (any Error)?
  }

  /// With every log-probability that can be asked for, a message of so many tokens stays far below the transport's limit.
  private static let tokensPerMessage = 4096
  /// Tokens and text travel together, since a request that moves goes by what was delivered: outputs are not split again.
  private static let tokensPerOutput = 1024

  private let state = Lock(State())
  private let wakes: AsyncStream<Void>
  private let wake: AsyncStream<Void>.Continuation

  init() {
    (wakes, wake) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
  }

  func add(promptLogprobs: [GeneratedToken]) {
    state.withLock { $0.promptLogprobs = promptLogprobs[...] }
    wake.yield()
  }

  /// A prefill worker could not help: the caller hears of it at once.
  func add(_ failure: Baton_V1_PrefillFailure) {
    state.withLock { $0.prefillFailures.append(failure) }
    wake.yield()
  }

  func add(sample: Int, _ update: SampleText.Update) {
    state.withLock { state in
      // Nobody waits for the rest of what was given up.
      if state.failure != nil { return }
      var index = state.outputs.count
      if let last = state.outputs.lastIndex(where: { $0.sample == UInt32(sample) }),
        state.outputs[last].tokens.count < Self.tokensPerOutput
      {
        index = last
      } else {
        state.outputs.append(.with { $0.sample = UInt32(sample) })
      }
      state.outputs[index].tokens.append(contentsOf: update.tokens.map { Baton_V1_Token($0) })
      state.outputs[index].text += update.text
      if let finish = update.finish { state.outputs[index].finishReason = Baton_V1_FinishReason(finish) }
    }
    wake.yield()
  }

  /// The request is done; `response` is sent with whatever outputs are left. What was given up lacks outputs: its failure
  /// stays the last word.
  func finish(_ response: Baton_V1_DecodeResponse) {
    state.withLock { state in
      if state.failure == nil { state.last = response }
    }
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
      while let message = try take() {
        try await writer.write(message.response)
        if message.isLast { return }
      }
    }
    throw ServingError(.cancelled, "the request was cancelled")
  }

  /// The next message; nil when there is nothing to say now. Throws the failure when nothing is left before it.
  private func take() throws -> (response: Baton_V1_DecodeResponse, isLast: Bool)? {
    try state.withLock { state throws -> (response: Baton_V1_DecodeResponse, isLast: Bool)? in
      if !state.prefillFailures.isEmpty {
        var response = Baton_V1_DecodeResponse()
        swap(&response.prefillFailures, &state.prefillFailures)
        return (response, false)
      }
      if !state.promptLogprobs.isEmpty {
        var response = Baton_V1_DecodeResponse()
        response.promptLogprobs = state.promptLogprobs.prefix(Self.tokensPerMessage).map { Baton_V1_Token($0) }
        state.promptLogprobs = state.promptLogprobs.dropFirst(Self.tokensPerMessage)
        return (response, false)
      }
      var count = 0
      var tokens = 0
      while count < state.outputs.count {
        tokens += state.outputs[count].tokens.count
        if count > 0, tokens > Self.tokensPerMessage { break }
        count += 1
      }
      let last = count == state.outputs.count ? state.last : nil
      if count == 0, last == nil {
        if let failure = state.failure { throw failure }
        return nil
      }
      var response = last ?? Baton_V1_DecodeResponse()
      response.outputs = Array(state.outputs[..<count])
      state.outputs.removeFirst(count)
      return (response, last != nil)
    }
  }
}
