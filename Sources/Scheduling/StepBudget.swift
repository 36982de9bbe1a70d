/// What is left of a step.
struct StepBudget {
  /// Tokens of any kind.
  var tokens: Int
  /// Of these, the most that may be prompt tokens.
  var prefillTokens = 0

  /// Prompt tokens that still fit.
  var prompt: Int { min(tokens, prefillTokens) }

  mutating func takePrompt(_ count: Int) {
    tokens -= count
    prefillTokens -= count
  }
}
