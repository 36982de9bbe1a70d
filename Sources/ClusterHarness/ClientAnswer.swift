import GRPCCore
import ServingProtos
import ServingTypes

/// What a client received, and when.
public struct ClientAnswer: Sendable {
  /// Of the first sample.
  public var tokens: [TokenID] = []
  /// Seconds from the call to each token; tokens of one message came together.
  public var arrivals: [Double] = []
  /// Messages that brought tokens.
  public var messages = 0
  public var finish: Baton_V1_FinishReason = .unspecified
  public var usage = Baton_V1_Usage()
  public var route = Baton_V1_Route()
  public var timeline = Baton_V1_Timeline()

  /// Reads an answer to its end.
  ///
  /// - Parameter start: when it was asked for.
  init(
    _ messages: RPCAsyncSequence<some AnswerMessage, any Error>, since start: ContinuousClock.Instant
  ) async throws {
    for try await message in messages {
      take(message.outputs, at: start.duration(to: .now) / .seconds(1))
      if message.hasUsage { usage = message.usage }
      if message.hasRoute { route = message.route }
      if message.hasTimeline { timeline = message.timeline }
    }
  }

  private mutating func take(_ outputs: [Baton_V1_Output], at time: Double) {
    for output in outputs where output.sample == 0 {
      if output.finishReason != .unspecified { finish = output.finishReason }
      guard !output.tokens.isEmpty else { continue }
      messages += 1
      for token in output.tokens {
        tokens.append(TokenID(token.id))
        arrivals.append(time)
      }
    }
  }
}
