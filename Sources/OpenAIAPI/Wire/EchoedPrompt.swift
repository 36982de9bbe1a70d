import Routing
import ServingTypes

/// A prompt as the answer repeats it, before each choice's own text.
struct EchoedPrompt: Sendable {
  var text: String
  /// With log-probabilities but for the first, which nothing comes before; empty where none were asked for.
  var tokens: [GeneratedToken] = []

  /// - Parameters:
  ///   - logprobs: of the tokens from the second on.
  ///   - top: of the likeliest tokens, so many with each.
  init(
    _ prompt: GenerationRequest.Prompt, tokens: [TokenID], logprobs: [GeneratedToken], top: Int?,
    tokenBytes: (TokenID) -> [UInt8]
  ) {
    if case .text(let text) = prompt {
      self.text = text
    } else {
      text = String(decoding: tokens.flatMap(tokenBytes), as: UTF8.self)
    }
    guard let top, let first = tokens.first else { return }
    self.tokens = [GeneratedToken(id: first)]
    for token in logprobs {
      self.tokens.append(GeneratedToken(id: token.id, logprob: token.logprob, top: Array(token.top.prefix(top))))
    }
  }
}
