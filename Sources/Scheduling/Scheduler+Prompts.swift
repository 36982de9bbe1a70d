import KVCache
import ServingTypes

// How prompts share what a step has left beside the next tokens of the sequences that decode.
extension Scheduler {
  /// While sequences decode, a step takes this many times what it would take without prompt tokens: at most, so that their
  /// tokens stay even, and at least, so that prompts keep well over half of the time.
  private static let loadedStep = 3.0...3.6
  /// With nobody waiting for a next token, longer chunks make better use of the weights that they read.
  private static let unloadedStep = 4.0

  /// Without chunked prefill there is nothing to shorten: a prompt that fits no step would wait for ever.
  var aimsAtStepTime: Bool { configuration.enableChunkedPrefill && configuration.targetStepTime > .zero }

  /// How long a step may take; nil where it does not matter.
  func stepTarget(decodeTokens: Int) -> Double? {
    guard aimsAtStepTime else { return nil }
    let target = configuration.targetStepTime.seconds
    guard decodeTokens > 0 else { return target * Self.unloadedStep }
    guard let alone = costs.decodeSeconds(tokens: decodeTokens) else { return target }
    return min(max(target, Self.loadedStep.lowerBound * alone), Self.loadedStep.upperBound * alone)
  }

  /// Prompt tokens of the step, by the wanted step time and the limits.
  func prefillBudget(decodeTokens: Int, target: Double?) -> Int {
    var tokens = configuration.maxPrefillTokens
    if let target {
      let affordable = costs.prefillTokens(
        target: target, decodeTokens: decodeTokens, context: oldestPrompt?.computedCount ?? 0)
      // A chunk too small to be of use to anybody is no help; beside running sequences it may be smaller.
      let least = decodeTokens == 0 ? configuration.blockSize : max(1, configuration.blockSize / 4)
      tokens = min(tokens, max(affordable, least))
    }
    return tokens
  }

  /// Running sequences whose prompt, or what they had generated before a preemption, is not computed yet.
  private func isPrompt(_ sequence: Sequence) -> Bool {
    !sequence.isDecoding && sequence.remainingCount > 0 && sequence.scheduledStep != step
  }

  /// Of those that come in chunks of a step.
  private var oldestPrompt: Sequence? {
    var oldest: Sequence?
    for sequence in running
    where isPrompt(sequence) && sequence !== sliced?.sequence && sequence.id < oldest?.id ?? UInt64.max {
      oldest = sequence
    }
    return oldest
  }

  /// Gives the step's prompt tokens to running sequences and to those that it admits.
  ///
  /// The oldest prompt is sure of half, whatever its priority, so that every prompt ends; the rest goes to the shortest
  /// first, and what these leave to the oldest again. So a long prompt stalls no short one behind it.
  func schedulePrompts(now: ContinuousClock.Instant, _ budget: inout StepBudget) {
    var turn = PromptTurn()
    if configuration.enableChunkedPrefill {
      turn.oldest = sliced?.sequence ?? oldestPrompt
      for sequence in running where isPrompt(sequence) && sequence !== turn.oldest { turn.others.append(sequence) }
      turn.others.sort {
        if $0.group.priority != $1.group.priority { return $0.group.priority > $1.group.priority }
        return ($0.remainingCount, $0.id) < ($1.remainingCount, $1.id)
      }
    } else {
      turn.others = running.filter(isPrompt)
    }
    if sliced != nil {
      // Half of the step's time for prompts.
      if !turn.others.isEmpty || !waiting.isEmpty { budget.takePrompt((budget.prompt + 1) / 2) }
    } else if let oldest = turn.oldest {
      reserve(for: oldest, isAlone: turn.others.isEmpty && waiting.isEmpty, &turn, &budget)
    }
    if output.preempted.isEmpty, !isShort, binding.isEmpty { admit(now: now, &turn, &budget) }
    scheduleOthers(&turn, &budget)
    budget.tokens += turn.reserved
    budget.prefillTokens += turn.reserved
    guard sliced == nil, let oldest = turn.oldest, oldest.status == .running,
      let rank = running.firstIndex(where: { $0 === oldest })
    else { return }
    if beginSlices(of: oldest, rank: rank, budget) { return }
    if !scheduleChunk(of: oldest, rank: rank, at: turn.place, &budget), budget.prompt <= 0 {
      noteShortfall(of: oldest, PromptTurn())
    }
  }

  /// Keeps the oldest prompt's share of the budget; it is placed when all others are.
  func reserve(for oldest: Sequence, isAlone: Bool, _ turn: inout PromptTurn, _ budget: inout StepBudget) {
    turn.oldest = oldest
    turn.place = output.segments.count
    let share = isAlone ? budget.prompt : (budget.prompt + 1) / 2
    let size = configuration.blockSize
    // Up to a block's end, where chunks end.
    let aligned = share < size ? share : (share + size - 1) / size * size
    turn.reserved = max(0, min(aligned, oldest.remainingCount, budget.prompt))
    budget.takePrompt(turn.reserved)
  }

  /// Chunks of running prompts with no more than `remaining` tokens left.
  func scheduleOthers(upTo remaining: Int = .max, _ turn: inout PromptTurn, _ budget: inout StepBudget) {
    while let sequence = turn.next, sequence.remainingCount <= remaining {
      turn.passed += 1
      guard sequence.status == .running, let rank = running.firstIndex(where: { $0 === sequence }) else { continue }
      if !scheduleChunk(of: sequence, rank: rank, &budget), budget.prompt <= 0 { noteShortfall(of: sequence, turn) }
    }
  }

  /// Where no prompt got anything for want of tokens, the next step's drafts make room for one.
  func noteShortfall(of sequence: Sequence, _ turn: PromptTurn) {
    guard output.prefillTokens == 0, turn.reserved == 0 else { return }
    let most = configuration.enableChunkedPrefill ? configuration.prefillChunkSize : roomOfAStep
    shortfall = max(shortfall, min(most, sequence.remainingCount))
  }

  /// False when nothing of the sequence could be scheduled.
  ///
  /// - Parameter place: among the step's segments; the end where it is nil.
  @discardableResult
  func scheduleChunk(of sequence: Sequence, rank: Int, at place: Int? = nil, _ budget: inout StepBudget) -> Bool {
    let count = chunk(of: sequence, limit: budget.prompt)
    guard count > 0, makeRoom(for: sequence, through: sequence.computedCount + count, rank: rank) else { return false }
    let (start, group) = (sequence.computedCount, sequence.group)
    var (logits, promptLogits) = (wantsToken(sequence, after: start + count) ? 1 : 0, 0)
    if group.lacksPromptLogits, start < group.promptLogitCount {
      (logits, promptLogits) = (count, count - logits)
      output.promptLogitRows += count
    }
    self.place(
      sequence, count: count, draftCount: 0, logitCount: logits, promptLogitCount: promptLogits, isDecode: false,
      at: place)
    output.prefillTokens += count
    output.prefillContext += count * start + count * (count - 1) / 2
    budget.takePrompt(count)
    return true
  }

  /// Whether what follows the sequence's leading `end` tokens is to be drawn.
  func wantsToken(_ sequence: Sequence, after end: Int) -> Bool {
    let group = sequence.group
    return end == sequence.tokens.count
      || !group.isForked && end == group.prefixCount
        && group.sequences.contains { $0.status != .finished && $0.tokens.count == end }
  }

  /// Tokens of the sequence's next chunk: to a block's end where it is not the last and that costs little of it.
  func chunk(of sequence: Sequence, limit: Int) -> Int {
    let (start, group) = (sequence.computedCount, sequence.group)
    let end = sequence.nextStop
    var largest = configuration.prefillChunkSize
    if group.isLent {
      largest = min(configuration.handoffChunkSize, configuration.prefillChunkSize)
    } else if !configuration.enableChunkedPrefill, !group.lacksPromptLogits {
      // What no step could hold beside the decodes has to be split all the same.
      guard end - start > roomOfAStep else { return end - start <= limit ? end - start : 0 }
      largest = max(roomOfAStep, 1)
    }
    if group.lacksPromptLogits, start < group.promptLogitCount {
      largest = min(largest, SchedulerConfiguration.promptLogitRows - output.promptLogitRows)
    }
    let reach = start + min(largest, limit)
    guard reach < end else { return end - start }
    let aligned = reach / configuration.blockSize * configuration.blockSize
    return (aligned - start) * 4 >= (reach - start) * 3 ? aligned - start : reach - start
  }

  /// Prompt tokens that a step holds however many sequences decode in it.
  var roomOfAStep: Int {
    min(configuration.maxNumBatchedTokens - configuration.maxNumSeqs, configuration.maxPrefillTokens)
  }
}
