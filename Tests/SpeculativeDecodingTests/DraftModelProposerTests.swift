import ModelRuntime
import ServingTestKit
import ServingTypes
import SpeculativeDecoding
import Testing

@Suite struct DraftModelProposerTests {
  private static let vocabulary = 64
  private static let blockSize = 16

  private func proposer(
    blocks: Int = 64, context: Int = 1_024, failingStep: Int? = nil, record: SimulatedExecutor.Record = .init()
  ) throws -> DraftModelProposer {
    DraftModelProposer(
      executor: try SimulatedExecutor(
        blockCount: blocks, blockSize: Self.blockSize, vocabularySize: Self.vocabulary, maximumContextLength: context,
        text: .repeating(period: 5), failingStep: failingStep, record: record), endOfGenerationTokens: [],
      isCaching: true)
  }

  private func ask(_ id: UInt64, _ tokens: [TokenID], limit: Int = 3, _ parameters: SamplingParameters) -> DraftAsk {
    DraftAsk(
      id: id, tokens: tokens, hashes: BlockHash.chain(tokens: tokens, blockSize: Self.blockSize, salt: ""),
      root: BlockHash.root(salt: "", blockSize: Self.blockSize), limit: limit, parameters: parameters, sample: 0,
      counts: TokenCounts(prompt: tokens, parameters: parameters))
  }

  private let greedy = SamplingParameters(temperature: 0)

  /// The model's own continuation, computed from the start.
  private func truth(
    _ tokens: [TokenID], count: Int, _ parameters: SamplingParameters, on given: SimulatedExecutor? = nil
  ) throws -> [TokenID] {
    let executor =
      try given
      ?? SimulatedExecutor(
        blockCount: 64, blockSize: Self.blockSize, vocabularySize: Self.vocabulary, text: .repeating(period: 5))
    var sampler = Sampler(vocabularySize: executor.vocabularySize, endOfGenerationTokens: [])
    var counts = TokenCounts(prompt: tokens, parameters: parameters)
    var all = tokens
    for _ in 0..<count {
      var batch = ForwardBatch()
      batch.append(tokens: all, startPosition: 0, blocks: (0..<64).map { BlockID($0) }, logitCount: 1)
      let token = try sampler.sample(
        logits: executor.forward(batch), parameters: parameters, sampleIndex: 0, position: all.count, context: counts)
      counts.append(token.id)
      all.append(token.id)
    }
    return Array(all[tokens.count...])
  }

  private func prompt(_ length: Int, seed: UInt64) -> [TokenID] {
    var random = SplitMix64(seed: seed)
    return (0..<length).map { _ in TokenID(random.next() % UInt64(Self.vocabulary)) }
  }

  /// Steps in which some drafts are accepted and some are not, for several sequences at once.
  @Test(arguments: [Float(0), 0.8]) func draftsAreTheModelsOwnTokensWhateverWasAccepted(temperature: Float) throws {
    let proposer = try proposer()
    let parameters = SamplingParameters(temperature: temperature, repetitionPenalty: 1.1, seed: 5)
    var random = SplitMix64(seed: 2)
    var texts = (0..<3).map { prompt(10 + 17 * $0, seed: UInt64($0)) }
    for _ in 0..<40 {
      proposer.beginStep(0..<3 as Range<UInt64>)
      var asks: [DraftAsk] = []
      for (index, text) in texts.enumerated() where random.next() % 5 != 0 {
        asks.append(ask(UInt64(index), text, limit: 1 + Int(random.next() % 4), parameters))
      }
      proposer.propose(&asks, promptTokens: 1_000)
      for ask in asks {
        #expect(ask.drafts == (try truth(ask.tokens, count: ask.limit, parameters)))
        let accepted = Int(random.next() % UInt64(ask.drafts.count + 1))
        proposer.record(ask.id, proposed: ask.drafts.count, accepted: accepted)
        texts[Int(ask.id)] += ask.drafts[..<accepted] + [TokenID(random.next() % UInt64(Self.vocabulary))]
      }
      try proposer.checkIntegrity()
    }
    proposer.releaseAll()
    #expect(proposer.statistics.activeBlocks == 0)
    try proposer.checkIntegrity()
  }

  @Test func onePassServesAllSequences() throws {
    let record = SimulatedExecutor.Record()
    let proposer = try proposer(record: record)
    proposer.beginStep(0..<4 as Range<UInt64>)
    var asks = (0..<4).map { ask(UInt64($0), prompt(20, seed: UInt64($0)), limit: 3, greedy) }
    proposer.propose(&asks, promptTokens: 1_000)
    #expect(record.counts.steps == 3)
    #expect(asks.allSatisfy { $0.drafts.count == 3 })
  }

  @Test func aLongPromptIsReadInChunks() throws {
    let record = SimulatedExecutor.Record()
    let proposer = try proposer(record: record)
    var steps = 0
    while true {
      proposer.beginStep(CollectionOfOne(1))
      var asks = [ask(1, prompt(200, seed: 1), greedy)]
      proposer.propose(&asks, promptTokens: 70)
      steps += 1
      if !asks[0].drafts.isEmpty { break }
    }
    #expect(steps == 4)
    #expect(record.counts.largestStep == 64)
  }

  @Test func whatSequencesShareIsComputedOnce() throws {
    let record = SimulatedExecutor.Record()
    let proposer = try proposer(record: record)
    let shared = prompt(64, seed: 1)
    var asks: [DraftAsk] = []
    for _ in 0..<2 {
      proposer.beginStep(0..<3 as Range<UInt64>)
      asks = (0..<3).map { ask(UInt64($0), shared + [TokenID($0)], limit: 1, greedy) }
      proposer.propose(&asks, promptTokens: 1_000)
    }
    for ask in asks { #expect(ask.drafts == (try truth(ask.tokens, count: 1, greedy))) }
    #expect(proposer.statistics.cachedTokens == 128)
    // The prompt once, three last tokens, and the first one's again.
    #expect(record.counts.tokens == 64 + 3 + 1)
    proposer.beginStep(EmptyCollection<UInt64>())
    #expect(proposer.statistics.activeBlocks == 0)
    try proposer.checkIntegrity()
  }

  @Test func withoutBlocksThereAreNoDrafts() throws {
    let proposer = try proposer(blocks: 4)
    proposer.beginStep(0..<2 as Range<UInt64>)
    var asks = (0..<2).map { ask(UInt64($0), prompt(40, seed: UInt64($0)), greedy) }
    proposer.propose(&asks, promptTokens: 1_000)
    #expect(!asks[0].drafts.isEmpty)
    #expect(asks[1].drafts.isEmpty)
    #expect(proposer.statistics.shortages == 1)
    // Who wants no drafts any more makes room.
    proposer.beginStep(0..<2 as Range<UInt64>)
    var later = [asks[1]]
    proposer.propose(&later, promptTokens: 1_000)
    #expect(!later[0].drafts.isEmpty)
    try proposer.checkIntegrity()
  }

  @Test func aFailedPassCostsItsDraftsOnly() throws {
    for step in 0..<3 {
      let proposer = try proposer(failingStep: step)
      for round in 0..<3 {
        proposer.beginStep(0..<2 as Range<UInt64>)
        var asks = (0..<2).map { ask(UInt64($0), prompt(20, seed: UInt64($0)), greedy) }
        proposer.propose(&asks, promptTokens: 1_000)
        for ask in asks {
          let expected = try truth(ask.tokens, count: 3, greedy)
          #expect(ask.drafts == Array(expected[..<(round == 0 ? step : 3)]))
        }
        try proposer.checkIntegrity()
      }
      #expect(proposer.statistics.failures == 1)
    }
  }

  /// Half of 40,000 tokens suffice for texts that keep to them; a text of others asks for all again.
  @Test(arguments: [Float(0), 0.15]) func choosesAmongAPrefixWhereTextsKeepToIt(temperature: Float) throws {
    let (vocabulary, half) = (40_000, 20_000)
    func executor() throws -> SimulatedExecutor {
      try SimulatedExecutor(
        blockCount: 64, blockSize: Self.blockSize, vocabularySize: vocabulary, spoken: 0..<100)
    }
    let proposer = DraftModelProposer(executor: try executor(), endOfGenerationTokens: [39_999], isCaching: true)
    let parameters = SamplingParameters(
      temperature: temperature, repetitionPenalty: 1.1, logitBias: [39_998: -5], seed: 5, minTokens: 8)
    // Marks from the vocabulary's end, as prompts have them, do not count.
    var texts = (0..<3).map { [TokenID](repeating: 39_999, count: 10) + prompt(10 * $0, seed: UInt64($0)) }
    func step() throws -> (width: Int, asks: [DraftAsk]) {
      proposer.beginStep(0..<3 as Range<UInt64>)
      var asks = texts.enumerated().map { ask(UInt64($0.offset), $0.element, limit: 2, parameters) }
      proposer.propose(&asks, promptTokens: 1_000)
      try proposer.checkIntegrity()
      return (proposer.statistics.vocabulary, asks)
    }
    var widths: [Int] = []
    for _ in 0..<20 {
      let (width, asks) = try step()
      widths.append(width)
      for ask in asks {
        let expected = try truth(ask.tokens, count: 2, parameters, on: executor())
        // What the whole vocabulary would give, up to a token behind the prefix.
        let reachable = expected.prefix { $0 < width }
        #expect(ask.drafts.prefix(reachable.count) == reachable)
        texts[Int(ask.id)].append(expected[0])
      }
    }
    // Three tokens a step.
    #expect(widths[...10].allSatisfy { $0 == vocabulary })
    #expect(widths[14...].allSatisfy { $0 == half })
    for _ in 0..<8 {
      for index in texts.indices { texts[index].append(index == 1 ? 30_000 : 50) }
      widths.append(try step().width)
    }
    #expect(widths.last == vocabulary)
  }

  /// Short answers are to end by a draft, too.
  @Test func anAnswersEndCounts() throws {
    let end: TokenID = 39_999
    let proposer = DraftModelProposer(
      executor: try SimulatedExecutor(blockCount: 64, vocabularySize: 40_000, spoken: 0..<100),
      endOfGenerationTokens: [end], isCaching: true)
    for id in 0..<20 as Range<UInt64> {
      var text = prompt(12, seed: id)
      for _ in 0..<10 {
        proposer.beginStep(CollectionOfOne(id))
        var asks = [ask(id, text, limit: 1, greedy)]
        proposer.propose(&asks, promptTokens: 1_000)
        text.append(50)
      }
      proposer.finish(id, tokens: text + [end])
      #expect(proposer.statistics.vocabulary == 40_000)
    }
  }

  @Test func nothingIsGuessedBeyondTheContextOrAnEnd() throws {
    let proposer = try proposer(context: 22)
    proposer.beginStep(0..<3 as Range<UInt64>)
    let next = try truth(prompt(10, seed: 9), count: 1, greedy)[0]
    var ending = greedy
    ending.stopTokenIDs = [next]
    var asks = [
      ask(0, prompt(20, seed: 1), limit: 5, greedy), ask(1, prompt(22, seed: 2), greedy),
      ask(2, prompt(10, seed: 9), ending),
    ]
    proposer.propose(&asks, promptTokens: 1_000)
    #expect(asks.map(\.drafts.count) == [2, 0, 1])
    #expect(asks[2].drafts == [next])
  }

  @Test func stopsWhereItIsNotSure() throws {
    let proposer = try proposer()
    var (sure, strict) = (0, 0)
    for round in 0..<60 {
      proposer.beginStep(0..<2 as Range<UInt64>)
      var asks = (0..<2).map { ask(UInt64($0), prompt(12, seed: UInt64(round)), limit: 4, greedy) }
      asks[1].leastChance = 0.9
      proposer.propose(&asks, promptTokens: 1_000)
      sure += asks[0].drafts.count
      strict += asks[1].drafts.count
      // Nothing is ever accepted, so nothing is sure.
      for ask in asks { proposer.record(ask.id, proposed: ask.drafts.count, accepted: 0) }
      proposer.releaseAll()
    }
    #expect(sure == 240)
    #expect(strict < 120)
  }
}
