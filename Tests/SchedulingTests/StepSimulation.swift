import KVCache
import Scheduling
import ServingTestKit
import ServingTypes

/// The scheduler alone, with steps that cost what a formula says, in virtual time: nothing waits and nothing is measured.
struct StepSimulation {
  /// Seconds of a step.
  struct Cost {
    var fixed = 0.004
    var decodeToken = 0.000_5
    var prefillToken = 0.000_15
    var pair = 0.000_000_02
    /// For each token of context of each decoding sequence.
    var decodePair = 0.0
    /// The largest relative deviation of a step, drawn by seed.
    var jitter = 0.0
  }

  let scheduler: Scheduler
  var cost: Cost
  private(set) var seconds = 0.0
  private let start = ContinuousClock.now
  private var random = SplitMix64(seed: 1)
  private var next: UInt64 = 1
  /// When each request came, got its first token and its last one.
  private(set) var arrivals: [UInt64: Double] = [:]
  private(set) var firstTokens: [UInt64: Double] = [:]
  private(set) var ends: [UInt64: Double] = [:]
  private(set) var refused: Set<UInt64> = []
  /// Seconds between two tokens of one sequence.
  private(set) var gaps: [Double] = []
  private var lastTokens: [UInt64: Double] = [:]
  private var limits: [UInt64: Int] = [:]
  /// What the chunk that is computed in slices takes in all, and what of it is left.
  private var sliceSeconds = (all: 0.0, left: 0.0)
  private(set) var slicedTokens = 0
  private(set) var served: [String: Int] = [:]
  /// Drafts that each decoding sequence proposes; none is accepted.
  var draftCount = 0

  init(_ configuration: SchedulerConfiguration, cost: Cost = Cost(), blocks: Int = 4096, isCaching: Bool = false) {
    self.cost = cost
    scheduler = Scheduler(configuration: configuration, pool: BlockPool(blockCount: blocks, isCaching: isCaching))
  }

  var isIdle: Bool { limits.isEmpty }

  /// Requests that have not ended.
  var open: Set<UInt64> { Set(limits.keys) }

  mutating func cancel(_ group: SequenceGroup) {
    limits[group.key] = nil
    scheduler.end(group)
  }

  /// Adds a request of unique tokens.
  @discardableResult
  mutating func add(
    prompt: Int, output: Int, tenant: String = "", priority: Int = 0, samples: Int = 1
  ) -> SequenceGroup {
    let key = next
    next += 1
    let size = scheduler.configuration.blockSize
    let tokens = (0..<prompt).map { TokenID($0) + TokenID(key) * 10_000 }
    let group = SequenceGroup(
      key: key, samples: [[TokenID]](repeating: tokens, count: samples), prefixCount: prompt,
      hashes: BlockHash.chain(tokens: tokens, blockSize: size, salt: ""),
      root: BlockHash.root(salt: "", blockSize: size), priority: priority, tenant: tenant, arrival: instant)
    arrivals[key] = seconds
    limits[key] = prompt + output
    scheduler.add(group)
    return group
  }

  private var instant: ContinuousClock.Instant { start + .seconds(seconds) }

  mutating func forgetGaps() { gaps.removeAll() }

  /// Runs one step. False when nothing could be computed; time then goes on a little.
  @discardableResult
  mutating func step() throws -> Bool {
    for sequence in scheduler.running where sequence.isDecoding {
      sequence.drafts = [TokenID](repeating: 1, count: draftCount)
    }
    scheduler.schedule(now: instant)
    let output = scheduler.output
    for refusal in output.refused {
      refused.insert(refusal.group.key)
      limits[refusal.group.key] = nil
    }
    guard output.tokenCount > 0 || output.slice != nil else {
      seconds += 0.01
      return false
    }
    var took = 0.0
    if output.tokenCount > 0 {
      took = cost.fixed + cost.decodeToken * Double(output.decodeTokens)
      for segment in output.segments {
        took += segment.isDecode ? cost.decodePair * Double(segment.start) : prefillSeconds(segment)
      }
      took *= 1 + cost.jitter * Double.random(in: -1...1, using: &random)
    }
    seconds += took
    if let slice = output.slice { advance(slice, beside: took) }
    for segment in output.segments { update(segment) }
    scheduler.observe(seconds: took)
    if let slice = output.slice, sliceSeconds.left <= 0, slice.segment.sequence.status == .running {
      slicedTokens += slice.segment.count
      scheduler.endSlices(seconds: sliceSeconds.all)
      update(slice.segment)
    }
    try scheduler.checkIntegrity(pins: 0)
    return true
  }

  private func prefillSeconds(_ segment: SchedulerOutput.Segment) -> Double {
    let count = Double(segment.count)
    return cost.prefillToken * count + cost.pair * count * (Double(segment.start) + count / 2)
  }

  /// In pieces of a tenth of a plain step.
  private mutating func advance(_ slice: SchedulerOutput.Slice, beside took: Double) {
    if slice.isFirst {
      let all = cost.fixed + prefillSeconds(slice.segment)
      sliceSeconds = (all, all)
    }
    let piece = cost.fixed / 10
    let pieces = max(1, ((slice.stepSeconds - took) / piece).rounded())
    let advanced = min(sliceSeconds.left, pieces * piece)
    sliceSeconds.left -= advanced
    seconds += advanced
  }

  private mutating func update(_ segment: SchedulerOutput.Segment) {
    let (sequence, group) = (segment.sequence, segment.sequence.group)
    scheduler.advance(sequence, to: segment.start + segment.count) { _ in 0 }
    served[group.tenant, default: 0] += segment.count
    guard segment.logitCount > 0, let limit = limits[group.key] else { return }
    var fresh = [sequence]
    if !group.isForked {
      scheduler.fork(group)
      fresh = group.sequences
    }
    for sequence in fresh {
      sequence.append(TokenID(sequence.sample))
      if firstTokens[group.key] == nil { firstTokens[group.key] = seconds }
      if let last = lastTokens[sequence.id] { gaps.append(seconds - last) }
      lastTokens[sequence.id] = seconds
      if sequence.tokens.count >= limit { scheduler.finish(sequence) }
    }
    guard group.unfinishedCount == 0 else { return }
    ends[group.key] = seconds
    limits[group.key] = nil
    scheduler.end(group)
  }

  /// Steps until `condition` holds, or fails after too many steps.
  mutating func run(limit: Int = 100_000, until condition: (StepSimulation) -> Bool) throws {
    var steps = 0
    while !condition(self) {
      steps += 1
      guard steps < limit else { throw Scenario.Mismatch(description: "nobody gets on") }
      try step()
    }
  }
}

extension [Double] {
  /// The value that this share of all does not exceed.
  func quantile(_ share: Double) -> Double {
    let sorted = sorted()
    guard let last = sorted.last else { return 0 }
    return Swift.min(last, sorted[Swift.min(count - 1, Int(share * Double(count)))])
  }
}
