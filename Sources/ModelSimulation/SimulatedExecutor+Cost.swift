import ModelRuntime

extension SimulatedExecutor {
  /// Time that a step takes.
  public struct Cost: Hashable, Sendable {
    /// Whatever is in it: the weights' reading.
    public var step: Duration
    /// Each token of a prompt, and each one that is alone its sequence's part of the step.
    public var prefillToken: Duration
    public var decodeToken: Duration
    /// Each pair of a prompt's token and one that it attends to.
    public var prefillPair: Duration
    /// Each token that a decoding sequence attends to.
    public var decodePair: Duration

    public init(
      step: Duration = .zero, prefillToken: Duration = .zero, decodeToken: Duration = .zero,
      prefillPair: Duration = .zero, decodePair: Duration = .zero
    ) {
      self.step = step
      self.prefillToken = prefillToken
      self.decodeToken = decodeToken
      self.prefillPair = prefillPair
      self.decodePair = decodePair
    }

    /// The same for all tokens.
    public init(step: Duration = .zero, token: Duration) {
      self.init(step: step, prefillToken: token, decodeToken: token)
    }

    /// What a batch takes.
    public func duration(of batch: ForwardBatch) -> Duration {
      var (prefillTokens, decodeTokens, prefillPairs, decodePairs) = (0, 0, 0, 0)
      for segment in batch.segments {
        let count = segment.tokenCount
        if count == 1 {
          decodeTokens += 1
          decodePairs += segment.startPosition + 1
        } else {
          prefillTokens += count
          prefillPairs += count * segment.startPosition + count * (count + 1) / 2
        }
      }
      return step + prefillToken * prefillTokens + decodeToken * decodeTokens + prefillPair * prefillPairs
        + decodePair * decodePairs
    }
  }
}
