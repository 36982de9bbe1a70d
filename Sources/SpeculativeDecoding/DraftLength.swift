/// How many drafts a sequence should get in its next step: as many as pay, none where none do.
///
/// With the chance p that a draft is accepted, k drafts give 1 + p + … + pᵏ tokens a step on average and make it dearer by k
/// tokens for each sequence of the batch and by what proposing them takes. The k with the most tokens per time wins; p is
/// measured on the sequence itself, old steps counting less. A sequence whose drafts fail gets none, but for a probe now and
/// then, ever more seldom.
public struct DraftLength: Sendable {
  /// What a step costs, in any unit of time: only the ratio counts.
  public struct StepCost: Hashable, Sendable {
    /// Of a step with no tokens: reading the weights, mostly.
    public var fixed: Double
    /// Of each token in it.
    public var perToken: Double
    /// Of proposing one draft for each sequence of the batch.
    public var perDraft: Double

    public init(fixed: Double, perToken: Double, perDraft: Double = 0) {
      self.fixed = max(fixed, 0)
      self.perToken = max(perToken, 0)
      self.perDraft = max(perDraft, 0)
    }

    /// Of a step without drafts.
    public func plain(_ batchSize: Int) -> Double { fixed + perToken * Double(max(batchSize, 1)) }

    /// What one draft for each sequence adds.
    func extra(_ batchSize: Int) -> Double { perDraft + perToken * Double(max(batchSize, 1)) }
  }

  /// A gain smaller than this is taken for noise.
  public static let smallestGain = 0.03
  private static let decay = 0.95
  private static let shortestPause = 8
  private static let longestPause = 256
  /// What is known of a sequence before its first draft counts as much as so many drafts.
  private static let priorWeight = 2.0

  private let maximum: Int
  private var acceptedWeight: Double
  private var judgedWeight = Self.priorWeight
  /// Steps without drafts since the last probe, and how many there shall be.
  private var idleSteps = 0
  private var pause = Self.shortestPause

  /// - Parameters:
  ///   - maximum: drafts in a step at most (`num_speculative_tokens`).
  ///   - acceptance: expected before the first step.
  public init(maximum: Int, acceptance: Double = 0.5) {
    self.maximum = max(0, maximum)
    acceptedWeight = Self.priorWeight * min(max(acceptance, 0), 1)
  }

  /// The measured chance that a draft is accepted when all before it were.
  public var acceptance: Double { acceptedWeight / judgedWeight }

  /// The number of drafts for the next step, in which `batchSize` sequences take part.
  ///
  /// A probe stays due until a draft was judged: where nothing could be proposed, nothing was learnt.
  public mutating func next(batchSize: Int, cost: StepCost) -> Int {
    let best = bestLength(batchSize: batchSize, cost: cost)
    if best.length > 0 || maximum == 0 {
      idleSteps = 0
      return best.length
    }
    idleSteps += 1
    return isProbing && gain(1, chance: 1, batchSize, cost) > 1 + Self.smallestGain ? 1 : 0
  }

  /// Whether the last `next` asked for a draft only to see whether drafts are accepted by now.
  public var isProbing: Bool { idleSteps > pause }

  /// Tokens per time with as many drafts as pay, relative to none.
  public func expectedGain(batchSize: Int, cost: StepCost) -> Double {
    bestLength(batchSize: batchSize, cost: cost).gain
  }

  /// The least chance of being reached and accepted with which one more draft still pays, where drafts pay at all.
  public func leastChance(batchSize: Int, cost: StepCost) -> Double {
    let plain = cost.plain(batchSize)
    guard plain > 0 else { return 0 }
    return cost.extra(batchSize) * bestLength(batchSize: batchSize, cost: cost).gain / plain
  }

  /// Takes what became of a step's drafts: those after the first that failed tell nothing.
  public mutating func record(proposed: Int, accepted: Int) {
    guard proposed > 0 else { return }
    let accepted = min(accepted, proposed)
    let judged = accepted < proposed ? accepted + 1 : accepted
    if isProbing {
      idleSteps = 0
      if accepted == 0 {
        pause = min(pause * 2, Self.longestPause)
      } else {
        // The text has changed: what was measured before says little.
        (acceptedWeight, judgedWeight) = (Self.priorWeight / 2, Self.priorWeight)
      }
    }
    acceptedWeight = acceptedWeight * Self.decay + Double(accepted)
    judgedWeight = judgedWeight * Self.decay + Double(judged)
    if accepted > 0 { pause = Self.shortestPause }
  }

  private func bestLength(batchSize: Int, cost: StepCost) -> (length: Int, gain: Double) {
    var best = (length: 0, gain: 1 + Self.smallestGain)
    for length in 0...maximum {
      let gain = gain(length, chance: acceptance, batchSize, cost)
      if gain > best.gain { best = (length, gain) }
    }
    return best.length == 0 ? (0, 1) : best
  }

  /// Tokens per time with `length` drafts for each sequence, relative to none.
  private func gain(_ length: Int, chance: Double, _ batchSize: Int, _ cost: StepCost) -> Double {
    var tokens = 1.0
    var reached = 1.0
    for _ in 0..<length {
      reached *= chance
      tokens += reached
    }
    let plain = cost.plain(batchSize)
    let extra = cost.extra(batchSize) * Double(length)
    return plain > 0 ? tokens * plain / (plain + extra) : tokens
  }
}
