/// How many drafts a sequence should get in its next step: as many as pay, none where none do.
///
/// With the chance p that a draft is accepted, k drafts give 1 + p + … + pᵏ tokens a step on average and make it dearer by k
/// tokens for each sequence of the batch. The k with the most tokens per time wins; p is measured on the sequence itself, old
/// steps counting less. A sequence whose drafts fail gets none, but for a probe now and then, ever more seldom.
public struct DraftLength: Sendable {
  /// What a step costs, in any unit of time: only the ratio counts.
  public struct StepCost: Hashable, Sendable {
    /// Of a step with no tokens: reading the weights, mostly.
    public var fixed: Double
    /// Of each token in it.
    public var perToken: Double

    public init(fixed: Double, perToken: Double) {
      self.fixed = fixed
      self.perToken = perToken
    }
  }

  /// A gain smaller than this is taken for noise.
  public static let smallestGain = 0.03
  private static let decay = 0.95
  private static let shortestPause = 8
  private static let longestPause = 256

  private let maximum: Int
  // As if one draft of two had been accepted before the first step.
  private var acceptedWeight = 1.0
  private var judgedWeight = 2.0
  /// Steps without drafts since the last probe, and how many there shall be.
  private var idleSteps = 0
  private var pause = Self.shortestPause

  /// - Parameter maximum: drafts in a step at most (`num_speculative_tokens`).
  public init(maximum: Int) { self.maximum = max(0, maximum) }

  /// The measured chance that a draft is accepted when all before it were.
  public var acceptance: Double { acceptedWeight / judgedWeight }

  /// The number of drafts for the next step, in which `batchSize` sequences take part.
  public mutating func next(batchSize: Int, cost: StepCost) -> Int {
    let best = bestLength(batchSize: batchSize, cost: cost)
    if best > 0 || maximum == 0 {
      idleSteps = 0
      return best
    }
    idleSteps += 1
    guard idleSteps > pause, gain(1, chance: 1, batchSize, cost) > 1 + Self.smallestGain else { return 0 }
    idleSteps = 0
    pause = min(pause * 2, Self.longestPause)
    return 1
  }

  /// Takes what became of a step's drafts: those after the first that failed tell nothing.
  public mutating func record(proposed: Int, accepted: Int) {
    guard proposed > 0 else { return }
    let accepted = min(accepted, proposed)
    let judged = accepted < proposed ? accepted + 1 : accepted
    acceptedWeight = acceptedWeight * Self.decay + Double(accepted)
    judgedWeight = judgedWeight * Self.decay + Double(judged)
    if accepted > 0 { pause = Self.shortestPause }
  }

  private func bestLength(batchSize: Int, cost: StepCost) -> Int {
    var best = (length: 0, gain: 1 + Self.smallestGain)
    for length in 0...maximum {
      let gain = gain(length, chance: acceptance, batchSize, cost)
      if gain > best.gain { best = (length, gain) }
    }
    return best.length
  }

  /// Tokens per time with `length` drafts for each sequence, relative to none.
  private func gain(_ length: Int, chance: Double, _ batchSize: Int, _ cost: StepCost) -> Double {
    var tokens = 1.0
    var reached = 1.0
    for _ in 0..<length {
      reached *= chance
      tokens += reached
    }
    let plain = max(cost.fixed, 0) + max(cost.perToken, 0) * Double(max(batchSize, 1))
    let extra = max(cost.perToken, 0) * Double(max(batchSize, 1) * length)
    return plain > 0 ? tokens * plain / (plain + extra) : tokens
  }
}
