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

  public init() {}

  mutating func take(_ outputs: [Baton_V1_Output], at time: Double) {
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
