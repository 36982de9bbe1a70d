import ModelRuntime
import Scheduling
import ServingTypes
import SpeculativeDecoding

/// Decides how many tokens are guessed for each sequence of a step, and has them guessed by the configured method.
struct Speculator {
  private static let acceptanceWeight = 0.05
  /// Prompt tokens that a draft model computes in a step before its speed is known.
  private static let initialPromptTokens = 128
  /// Tokens that a draft model reads without asking whether that pays.
  private static let smallLag = 16
  /// What reading promises to bring in has to be so many times its price: nobody knows how long an answer will be.
  private static let caution = 2.0
  private static let refusalsBetweenTrials = 1024

  private let configuration: EngineConfiguration
  private let maximumContextLength: Int
  private let clock: ServingClock
  private(set) var drafter: DraftModelProposer?
  private var history = SuffixHistory()
  private var answers = AnswerLengths()
  /// Whether `step` was measured.
  private var isMeasured = false
  private var asks: [DraftAsk] = []
  private var askers: [Sequence] = []
  private var step = DraftLength.StepCost(fixed: 1, perToken: 1)
  /// The chance that a draft of this engine is accepted, lately: where new sequences start.
  private var acceptance: Double
  /// The sequence whose prompt the draft model reads though it does not promise to pay, and the steps in which others did not.
  private var trial: UInt64?
  private var refusals = 0
  /// Others' prompts are computed in the same steps.
  private var isShared = false
  /// What proposing took in this step, a draft model's passes included.
  private(set) var seconds = 0.0
  private(set) var statistics: SpeculationStatistics

  init(
    configuration: EngineConfiguration, maximumContextLength: Int, draftExecutor: (any ModelExecutor)?,
    endOfGeneration: [TokenID], clock: ServingClock
  ) {
    self.configuration = configuration
    self.maximumContextLength = maximumContextLength
    self.clock = clock
    // A draft model is worth a try; that a text repeats itself remains to be seen.
    acceptance = configuration.specMethod == .draft ? 0.8 : 0.5
    statistics = SpeculationStatistics(method: configuration.specMethod)
    statistics.recentAcceptance = acceptance
    guard configuration.speculates, configuration.specMethod == .draft, let draftExecutor else { return }
    let drafter = DraftModelProposer(
      executor: draftExecutor, endOfGenerationTokens: endOfGeneration, isCaching: configuration.enablePrefixCaching)
    self.drafter = drafter
    statistics.draftModel = drafter.statistics
  }

  func makeDrafts() -> SampleDrafts {
    SampleDrafts(length: DraftLength(maximum: configuration.numSpeculativeTokens, acceptance: acceptance))
  }

  // MARK: Proposing

  /// Fills in the drafts of all sequences that decode.
  ///
  /// - Parameter costs: what steps without prompt tokens take, sampling included.
  mutating func propose(for running: [Sequence], of requests: [UInt64: ActiveRequest], costs: StepCostLine) {
    guard configuration.speculates else { return }
    let start = clock.now
    defer { seconds = (clock.now - start).seconds }
    drafter?.beginStep(running.lazy.map(\.id))
    estimate(costs, batchSize: running.count)
    isShared = running.contains { !$0.isDecoding }
    asks.removeAll(keepingCapacity: true)
    askers.removeAll(keepingCapacity: true)
    var (sequences, drafts) = (0, 0)
    for sequence in running where sequence.isDecoding {
      sequence.drafts.removeAll(keepingCapacity: true)
      guard let request = requests[sequence.group.key], request.parameters.speculative else { continue }
      // The last token that the limits allow needs no draft after it.
      let generated = sequence.tokens.count - request.submission.request.prompt.count
      let room = min(
        (request.parameters.maxTokens ?? Int.max) - generated, maximumContextLength - sequence.tokens.count)
      guard room > 1 else { continue }
      sequences += 1
      let wanted = wantedLength(&request.samples[sequence.sample].drafts, batchSize: running.count)
      let limit = min(wanted.limit, room - 1)
      drafts += limit
      guard limit > 0 else { continue }
      propose(
        limit, wanted.leastChance, for: sequence, of: request, room: room, batchSize: running.count)
    }
    askDraftModel()
    if sequences > 0 { statistics.draftLength = Double(drafts) / Double(sequences) }
  }

  /// How far to guess at most, and how sure each guess has to be.
  private func wantedLength(_ drafts: inout SampleDrafts, batchSize: Int) -> (limit: Int, leastChance: Double) {
    let most = configuration.numSpeculativeTokens
    guard configuration.adaptsDraftLength else { return (most, 0) }
    let length = drafts.length.next(batchSize: batchSize, cost: step)
    if configuration.specMethod == .ngram || length == 0 || drafts.length.isProbing { return (length, 0) }
    // These methods say how sure they are of each draft, which tells more than an average.
    return (most, drafts.length.leastChance(batchSize: batchSize, cost: step))
  }

  private mutating func propose(
    _ limit: Int, _ leastChance: Double, for sequence: Sequence, of request: ActiveRequest, room: Int, batchSize: Int
  ) {
    let sample = sequence.sample
    switch configuration.specMethod {
    case .ngram:
      if request.samples[sample].drafts.ngram == nil {
        request.samples[sample].drafts.ngram = NGramProposer()
        request.samples[sample].drafts.ngram?.append(contentsOf: sequence.tokens)
      }
      request.samples[sample].drafts.ngram?.propose(limit, into: &sequence.drafts)
    case .suffix:
      if request.samples[sample].drafts.suffix == nil {
        request.samples[sample].drafts.suffix = SuffixProposer()
        request.samples[sample].drafts.suffix?.append(contentsOf: sequence.tokens)
      }
      request.samples[sample].drafts.suffix?.propose(
        limit, leastChance: leastChance, history: history, salt: request.submission.request.cacheSalt,
        into: &sequence.drafts)
    case .draft:
      guard let drafter, isWorthReading(drafter, sequence, of: request, room: room, batchSize: batchSize) else {
        return
      }
      asks.append(
        DraftAsk(
          id: sequence.id, tokens: sequence.tokens, hashes: sequence.hashes, root: sequence.group.root, limit: limit,
          leastChance: leastChance, parameters: request.parameters, sample: sample,
          counts: request.samples[sample].counts))
      askers.append(sequence)
    }
  }

  private mutating func askDraftModel() {
    guard let drafter else { return }
    if !asks.isEmpty {
      drafter.propose(&asks, promptTokens: promptTokens(drafter))
      for (ask, sequence) in zip(asks, askers) { sequence.drafts.append(contentsOf: ask.drafts) }
      // Tokens that somebody else still refers to are copied by the next append.
      asks.removeAll(keepingCapacity: true)
    }
    statistics.draftModel = drafter.statistics
  }

  // MARK: Costs

  private mutating func estimate(_ costs: StepCostLine, batchSize: Int) {
    let line = costs.line
    isMeasured = costs.isMeasured
    var perDraft = 0.0
    if let drafter, drafter.costs.isMeasured, isMeasured {
      let draftLine = drafter.costs.line
      perDraft = draftLine.fixed + draftLine.perToken * Double(batchSize)
    }
    step = DraftLength.StepCost(fixed: line.fixed, perToken: line.perToken, perDraft: perDraft)
    if isMeasured { (statistics.stepSeconds, statistics.secondsPerToken) = (line.fixed, line.perToken) }
  }

  /// Prompt tokens that the draft model may compute in this step: no more than half of the time aimed at, or an eighth beside
  /// prompts that somebody waits for.
  private func promptTokens(_ drafter: DraftModelProposer) -> Int {
    guard let seconds = drafter.secondsPerPromptToken, seconds > 0 else { return Self.initialPromptTokens }
    let target = configuration.targetStepTime > .zero ? configuration.targetStepTime.seconds / (isShared ? 8 : 2) : 1
    return Int(min(max(target / seconds, 16), Double(configuration.prefillChunkSize)))
  }

  /// A prompt is read by the draft model only where the drafts for what is left of the answer can be expected to bring that in
  /// again; now and then also to see whether they would.
  private mutating func isWorthReading(
    _ drafter: DraftModelProposer, _ sequence: Sequence, of request: ActiveRequest, room: Int, batchSize: Int
  ) -> Bool {
    let lag = drafter.lag(sequence.id, tokenCount: sequence.tokens.count)
    guard configuration.adaptsDraftLength, lag > Self.smallLag, isMeasured, trial != sequence.id,
      let seconds = drafter.secondsPerPromptToken
    else { return true }
    let price = Double(lag) * seconds
    let answer = step.plain(batchSize) / Double(batchSize) * rest(of: sequence, request, room: room)
    let gain = request.samples[sequence.sample].drafts.length.expectedGain(batchSize: batchSize, cost: step)
    if price * Self.caution < answer * (1 - 1 / gain) { return true }
    refusals += 1
    guard refusals >= Self.refusalsBetweenTrials, price * 4 < answer else { return false }
    refusals = 0
    trial = sequence.id
    return true
  }

  /// Tokens that the answer will still get, on average.
  private func rest(of sequence: Sequence, _ request: ActiveRequest, room: Int) -> Double {
    let parameters = request.parameters
    let generated = sequence.tokens.count - request.submission.request.prompt.count
    let endsByItself = !parameters.ignoreEOS || !parameters.stop.isEmpty || !parameters.stopTokenIDs.isEmpty
    return answers.expectedRest(
      after: generated, limit: room, certain: endsByItself ? parameters.minTokens : generated + room)
  }

  // MARK: Results

  /// What became of a sequence's drafts.
  mutating func record(_ sequence: Sequence, _ drafts: inout SampleDrafts, proposed: Int, accepted: Int) {
    drafts.length.record(proposed: proposed, accepted: accepted)
    drafter?.record(sequence.id, proposed: proposed, accepted: accepted)
    for index in 0..<min(proposed, accepted + 1) {
      acceptance += Self.acceptanceWeight * ((index < accepted ? 1 : 0) - acceptance)
    }
    statistics.recentAcceptance = acceptance
  }

  /// A sample's output is complete: others may be as long, and with the same salt go on like it.
  ///
  /// - Parameter isWhole: whether it ended by itself.
  mutating func remember(_ sequence: Sequence, promptCount: Int, salt: String, isWhole: Bool) {
    guard configuration.speculates else { return }
    answers.record(sequence.tokens.count - promptCount, isWhole: isWhole)
    drafter?.finish(sequence.id, tokens: sequence.tokens)
    guard configuration.specMethod == .suffix else { return }
    let start = max(0, promptCount - SuffixHistory.longestMatch)
    if sequence.tokens.count > promptCount { history.record(sequence.tokens[start...], salt: salt) }
  }

  /// No request is left.
  mutating func becomeIdle() {
    guard let drafter else { return }
    drafter.releaseAll()
    statistics.draftModel = drafter.statistics
  }

  func checkIntegrity() throws(ServingError) { try drafter?.checkIntegrity() }
}
