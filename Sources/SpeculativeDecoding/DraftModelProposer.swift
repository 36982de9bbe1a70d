import KVCache
import ModelRuntime
import Scheduling
import ServingTypes

/// Guesses with a smaller model of the same vocabulary, which has a paged and prefix-cached pool of its own.
///
/// Its tokens are drawn by the target's rule with the target's noise, so that the two agree wherever the models nearly do, also when
/// sampling. One forward pass for each draft position serves all sequences together. What a sequence has and the draft model has
/// not seen is computed first, in chunks. Whatever fails here costs drafts, nothing else.
/// - SeeAlso: Leviathan, Kalman and Matias, Fast Inference from Transformers via Speculative Decoding (2023).
public final class DraftModelProposer {
  /// Tokens of a step that every sequence may catch up by, whatever the budget.
  private static let freeTokens = 8

  private let executor: any ModelExecutor
  private let endOfGenerationTokens: [TokenID]
  private let blockSize: Int
  private var pool: BlockPool
  private var vocabulary: DraftVocabulary
  /// Of the tokens that the last pass had logits for.
  private var sampler: Sampler
  private var sequences: [UInt64: DraftSequence] = [:]
  private var round: UInt64 = 0
  private var batch = ForwardBatch()
  /// The asks that take part in the pass, in the order of its logits.
  private var active: [Int] = []
  private var chances: [Double] = []
  /// First blocks that are being computed in this round: who needs the same waits for it.
  private var underWay: Set<BlockHash> = []
  private var confidence = DraftConfidence()
  /// Of passes with a few tokens for each sequence.
  public private(set) var costs = StepCostLine()
  /// Of passes over prompts; nil until one was measured.
  public private(set) var secondsPerPromptToken: Double?
  public private(set) var statistics = DraftModelStatistics()

  /// - Parameters:
  ///   - executor: runs the draft model; its layout's block size is the target's.
  ///   - endOfGenerationTokens: the target's.
  public init(executor: any ModelExecutor, endOfGenerationTokens: [TokenID], isCaching: Bool) {
    self.executor = executor
    self.endOfGenerationTokens = endOfGenerationTokens
    blockSize = executor.layout.blockSize
    pool = BlockPool(blockCount: executor.memory.blockCount, isCaching: isCaching, logLimit: 1)
    vocabulary = DraftVocabulary(size: executor.vocabularySize)
    sampler = Sampler(vocabularySize: executor.vocabularySize, endOfGenerationTokens: endOfGenerationTokens)
    statistics.blockCount = executor.memory.blockCount
  }

  // MARK: Sequences

  /// Begins a step in which these sequences run; all others give their blocks back.
  public func beginStep(_ running: some Swift.Sequence<UInt64>) {
    round += 1
    guard !sequences.isEmpty else { return }
    for id in running { sequences[id]?.seenRound = round }
    for (id, sequence) in sequences where sequence.seenRound != round { release(id, sequence) }
  }

  public func releaseAll() {
    for (id, sequence) in sequences { release(id, sequence) }
  }

  private func release(_ id: UInt64, _ sequence: DraftSequence) {
    pool.release(&sequence.table)
    sequences[id] = nil
    statistics.activeBlocks = pool.activeCount
  }

  /// Tokens of the sequence that a first draft would have to wait for.
  public func lag(_ id: UInt64, tokenCount: Int) -> Int { tokenCount - (sequences[id]?.computedCount ?? 0) }

  /// Learns from what became of the sequence's last drafts.
  public func record(_ id: UInt64, proposed: Int, accepted: Int) {
    guard let sequence = sequences[id] else { return }
    for index in 0..<min(proposed, accepted + 1, sequence.levels.count) {
      confidence.record(sequence.levels[index], isAccepted: index < accepted)
    }
  }

  /// The sequence's text is complete, its end included.
  public func finish(_ id: UInt64, tokens: [TokenID]) {
    if let sequence = sequences[id] { record(tokens, of: sequence) }
  }

  private func record(_ tokens: [TokenID], of sequence: DraftSequence) {
    for token in tokens.dropFirst(sequence.recordedCount) { vocabulary.record(token) }
    sequence.recordedCount = tokens.count
  }

  /// Proves that every block is free, cached or a sequence's.
  public func checkIntegrity() throws(ServingError) {
    var references = [Int](repeating: 0, count: pool.blockCount)
    for sequence in sequences.values {
      for block in sequence.table.blocks { references[Int(block)] += 1 }
    }
    do throws(ServingError) {
      try pool.checkIntegrity(references: references, pins: 0)
    } catch { throw ServingError(error.code, "draft model: \(error.message)") }
  }

  // MARK: Proposing

  /// Fills in the drafts of all asks.
  ///
  /// - Parameter promptTokens: to be computed in this step for sequences that are behind.
  public func propose(_ asks: inout [DraftAsk], promptTokens: Int) {
    active.removeAll(keepingCapacity: true)
    underWay.removeAll(keepingCapacity: true)
    batch.removeAll()
    var budget = promptTokens
    var longest = 0
    for index in asks.indices {
      asks[index].drafts.removeAll(keepingCapacity: true)
      asks[index].limit = min(asks[index].limit, executor.maximumContextLength - asks[index].tokens.count)
      guard asks[index].limit > 0, let sequence = sequence(for: asks[index]) else { continue }
      record(asks[index].tokens, of: sequence)
      catchUp(index, asks[index], sequence, &budget)
      longest = max(longest, asks[index].limit)
    }
    chances.removeAll(keepingCapacity: true)
    for _ in active { chances.append(1) }
    for drafted in 0..<longest {
      let start = ContinuousClock.now
      if drafted > 0 { fillBatch(asks, drafted) }
      let rows = active.count
      guard !batch.tokens.isEmpty, let logits = forward(asks) else { return }
      if drafted == 0 { settleCatchUp(asks) }
      draw(&asks, logits)
      observe((ContinuousClock.now - start) / .seconds(1), rows: rows)
      if active.isEmpty { return }
    }
  }

  /// The ask's sequence, begun with what the prefix cache has; nil while another one computes the same block.
  private func sequence(for ask: DraftAsk) -> DraftSequence? {
    if let sequence = sequences[ask.id] {
      sequence.askedRound = round
      sequence.settle(ask.tokens)
      if sequence.sealedCount < ask.hashes.count { underWay.insert(ask.hashes[sequence.sealedCount]) }
      return sequence
    }
    var prefix = pool.isCaching ? pool.cache.longestPrefix(ask.hashes) : []
    while prefix.count * blockSize >= ask.tokens.count { prefix.removeLast() }
    if pool.isCaching, prefix.count < ask.hashes.count,
      !underWay.insert(ask.hashes[prefix.count]).inserted
    {
      return nil
    }
    // Prompts do not count: they hold marks that no answer does.
    let sequence = DraftSequence(recordedCount: ask.tokens.count)
    pool.append(prefix, to: &sequence.table)
    sequence.computedCount = prefix.count * blockSize
    sequence.sealedCount = prefix.count
    sequence.seenRound = round
    sequence.askedRound = round
    statistics.cachedTokens += UInt64(sequence.computedCount)
    sequences[ask.id] = sequence
    return sequence
  }

  /// Puts what the sequence lacks into the batch, or a part of it where the budget is short.
  private func catchUp(_ index: Int, _ ask: DraftAsk, _ sequence: DraftSequence, _ budget: inout Int) {
    let lag = ask.tokens.count - sequence.computedCount
    let isWhole = lag <= max(budget, Self.freeTokens)
    let count = isWhole ? lag : budget / blockSize * blockSize
    guard count > 0 else { return }
    let end = sequence.computedCount + count
    guard makeRoom(for: sequence, through: isWhole ? end + ask.limit - 1 : end) else {
      statistics.shortages += 1
      return
    }
    if lag > Self.freeTokens { budget -= count }
    batch.append(
      tokens: ask.tokens[sequence.computedCount..<end], startPosition: sequence.computedCount,
      blocks: sequence.table.blocks[..<BlockTable.blockCount(tokens: end, blockSize: blockSize)],
      logitCount: isWhole ? 1 : 0)
    sequence.computedCount = end
    sequence.levels.removeAll(keepingCapacity: true)
    if isWhole { active.append(index) }
  }

  /// Blocks for the sequence's first `end` tokens, where need be at the cost of one that wants no drafts now.
  private func makeRoom(for sequence: DraftSequence, through end: Int) -> Bool {
    let count = BlockTable.blockCount(tokens: end, blockSize: blockSize)
    while !pool.grow(&sequence.table, to: count) {
      let idle = sequences.filter { $0.value.askedRound != round && !$0.value.table.isEmpty }
      guard let longest = idle.min(by: { ($0.value.askedRound, $0.key) < ($1.value.askedRound, $1.key) }) else {
        return false
      }
      release(longest.key, longest.value)
    }
    statistics.activeBlocks = pool.activeCount
    return true
  }

  private func fillBatch(_ asks: [DraftAsk], _ drafted: Int) {
    batch.removeAll()
    for index in active {
      guard let sequence = sequences[asks[index].id], let last = asks[index].drafts.last else { continue }
      let position = asks[index].tokens.count + drafted - 1
      let blocks = BlockTable.blockCount(tokens: position + 1, blockSize: blockSize)
      batch.append(
        tokens: CollectionOfOne(last), startPosition: position, blocks: sequence.table.blocks[..<blocks], logitCount: 1)
      sequence.guesses.append(last)
    }
  }

  private func forward(_ asks: [DraftAsk]) -> UnsafeBufferPointer<Float>? {
    batch.vocabularyPrefix = vocabulary.prefix
    let width = batch.vocabularyPrefix ?? executor.vocabularySize
    if sampler.vocabularySize != width {
      sampler = Sampler(vocabularySize: width, endOfGenerationTokens: endOfGenerationTokens)
    }
    statistics.vocabulary = width
    do throws(ServingError) {
      return try executor.forward(batch)
    } catch {
      // What the pass has written is unknown.
      statistics.failures += 1
      for ask in asks { if let sequence = sequences[ask.id] { release(ask.id, sequence) } }
      return nil
    }
  }

  /// What a pass took, with the drawing of its drafts: for a large vocabulary that takes time, too.
  private func observe(_ seconds: Double, rows: Int) {
    let tokens = batch.tokens.count
    statistics.forwards += 1
    statistics.tokens += UInt64(tokens)
    statistics.seconds += seconds
    if tokens <= rows * 2 {
      costs.observe(tokens: tokens, seconds: seconds)
    } else if tokens >= 4 * Self.freeTokens {
      let measured = seconds / Double(tokens)
      secondsPerPromptToken = secondsPerPromptToken.map { $0 + (measured - $0) / 4 } ?? measured
    }
  }

  /// Publishes the blocks that the first pass has filled.
  private func settleCatchUp(_ asks: [DraftAsk]) {
    guard pool.isCaching else { return }
    for ask in asks {
      guard let sequence = sequences[ask.id] else { continue }
      while sequence.sealedCount < ask.hashes.count, (sequence.sealedCount + 1) * blockSize <= sequence.computedCount {
        let index = sequence.sealedCount
        let identity = BlockIdentity(
          hash: ask.hashes[index], parent: index == 0 ? ask.root : ask.hashes[index - 1], chain: ask.hashes[0],
          depth: index)
        let own = sequence.table[index]
        let kept = pool.seal(own, as: identity, checksum: 0)
        if kept != own { pool.replace(&sequence.table, at: index, with: kept) }
        sequence.sealedCount += 1
      }
    }
  }

  /// Draws the next draft of each active ask; those that want more stay active.
  private func draw(_ asks: inout [DraftAsk], _ logits: UnsafeBufferPointer<Float>) {
    let width = sampler.vocabularySize
    var kept = 0
    for row in active.indices {
      let index = active[row]
      guard let sequence = sequences[asks[index].id] else { continue }
      let values = UnsafeBufferPointer(rebasing: logits[row * width..<(row + 1) * width])
      guard
        let token = try? sampler.sample(
          logits: values, parameters: asks[index].parameters, sampleIndex: asks[index].sample,
          position: asks[index].tokens.count + asks[index].drafts.count, context: asks[index].counts
        ).id
      else { continue }
      asks[index].drafts.append(token)
      asks[index].counts.append(token)
      let level = DraftConfidence.level(margin: LogitMargin.of(values))
      sequence.levels.append(level)
      let chance = chances[row] * confidence.chance(level)
      guard asks[index].drafts.count < asks[index].limit, chance >= asks[index].leastChance,
        !asks[index].ends(with: token, endOfGenerationTokens)
      else { continue }
      active[kept] = index
      chances[kept] = chance
      kept += 1
    }
    active.removeSubrange(kept...)
    chances.removeSubrange(kept...)
  }
}
