import KVCache
import ModelRuntime
import Scheduling
import ServingTypes
import SpeculativeDecoding

// One step: schedule, draft, compute, sample.
extension EngineLoop {
  /// Returns false when nothing could be computed.
  func step(now: ContinuousClock.Instant) -> Bool {
    speculator.propose(for: scheduler.running, of: requests, costs: scheduler.costs.decode)
    scheduler.schedule(now: now)
    take(scheduler.output)
    if let tiers { storeEvicted(tiers) }
    // Earlier copies may feed later ones, and their sources may be written to from here on, by loads first of all.
    for copy in scheduler.output.copies { executor.copyBlock(from: copy.source, to: copy.destination) }
    tiers?.tend(scheduler, isShort: scheduler.lacksCopying, now: now)
    startFetches()
    guard !scheduler.output.segments.isEmpty || scheduler.output.slice != nil else { return false }
    let running = scheduler.running.count
    let started = clock.now
    announce(expectedSeconds: scheduler.expectedLongStep, from: started)
    if !scheduler.output.segments.isEmpty { computeBatch() }
    scheduler.observe(seconds: (clock.now - started).seconds)
    advanceSlice(since: started)
    let seconds = (clock.now - started).seconds
    statistics.steps += 1
    statistics.mostRunningSequences = max(statistics.mostRunningSequences, running)
    statistics.batchedTokens += UInt64(scheduler.output.tokenCount)
    statistics.stepSeconds.record(seconds + speculator.seconds)
    return true
  }

  private func computeBatch() {
    batch.removeAll()
    for segment in scheduler.output.segments { add(segment, to: &batch) }
    do throws(ServingError) {
      update(try executor.forward(batch))
    } catch {
      for segment in scheduler.output.segments {
        if let request = requests[segment.sequence.group.key] { fail(request, error) }
      }
    }
  }

  /// Whoever watches the heartbeat shall not take a long step for a standstill.
  private func announce(expectedSeconds: Double, from start: ContinuousClock.Instant) {
    guard expectedSeconds > 0 else { return }
    snapshot.withLock { snapshot in
      snapshot.heartbeat = start
      snapshot.expectedStepSeconds = expectedSeconds
    }
  }

  /// Copies down what the blocks held before that this step writes to: no more than the step computes, however long the prompt
  /// is whose blocks were handed out.
  private func storeEvicted(_ tiers: TierTransfers) {
    for segment in scheduler.output.segments { storeEvicted(segment, tiers) }
    if let slice = scheduler.output.slice, slice.isFirst { storeEvicted(slice.segment, tiers) }
    for copy in scheduler.output.copies { tiers.storeEvicted(copy.destination, of: scheduler) }
    tiers.storeEvicted(of: scheduler, limit: Self.spareStores)
  }

  private func storeEvicted(_ segment: SchedulerOutput.Segment, _ tiers: TierTransfers) {
    let end = BlockTable.blockCount(tokens: segment.start + segment.count + segment.draftCount, blockSize: blockSize)
    for index in segment.start / blockSize..<end { tiers.storeEvicted(segment.sequence.table[index], of: scheduler) }
  }

  /// Evicted blocks that a step copies down though it does not write to them.
  private static let spareStores = 2

  /// What the schedule says of requests as a whole.
  private func take(_ output: SchedulerOutput) {
    for refusal in output.refused {
      if let request = requests[refusal.group.key] { fail(request, refusal.error) }
    }
    for group in output.admitted {
      guard let request = requests[group.key] else { continue }
      leaveQueue(request)
      startLending(request)
    }
    for group in output.reserved {
      if let request = requests[group.key] { answerReserve(request) }
    }
    for group in output.withdrawn {
      if let request = requests[group.key] { refuseSlots(of: request) }
    }
    for group in output.bound {
      if let request = requests[group.key] { answerBind(request) }
    }
    reportQueue()
  }

  func add(_ segment: SchedulerOutput.Segment, to batch: inout ForwardBatch) {
    let sequence = segment.sequence
    scratchTokens.removeAll(keepingCapacity: true)
    scratchTokens.append(contentsOf: sequence.tokens[segment.start..<segment.start + segment.count])
    scratchTokens.append(contentsOf: sequence.drafts[..<segment.draftCount])
    let blocks = BlockTable.blockCount(tokens: segment.start + scratchTokens.count, blockSize: blockSize)
    batch.append(
      tokens: scratchTokens, startPosition: segment.start, blocks: sequence.table.blocks[..<blocks],
      logitCount: segment.logitCount)
  }

  // MARK: Results

  private func update(_ logits: UnsafeBufferPointer<Float>) {
    var row = 0
    for segment in scheduler.output.segments {
      update(segment, logits, row: row)
      row += segment.logitCount
    }
  }

  /// - Parameter row: the segment's first row of logits.
  func update(_ segment: SchedulerOutput.Segment, _ logits: UnsafeBufferPointer<Float>, row: Int) {
    // A request that failed in this step has nothing left to update.
    guard let request = requests[segment.sequence.group.key], let group = request.group,
      segment.sequence.status == .running
    else { return }
    let promptRows = row..<row + segment.promptLogitCount
    let rows = promptRows.upperBound..<row + segment.logitCount
    if !segment.isDecode {
      statistics.computedPromptTokens += UInt64(segment.count)
      if request.firstToken == nil { request.summary.computedTokens += segment.count }
    }
    do throws(ServingError) {
      try notePromptLogprobs(segment, request, logits, promptRows)
      if segment.isDecode || group.isForked && !group.isLent && !rows.isEmpty {
        try updateDecode(segment, request, logits, rows)
      } else {
        try updatePrefill(segment, request, group, logits, rows)
      }
    } catch {
      fail(request, error)
    }
  }

  private func advance(_ sequence: Sequence, to count: Int) {
    scheduler.advance(sequence, to: count) { blockChecksum(UnsafeRawBufferPointer(memory.bytes(of: $0))) }
  }

  /// A sequence's next token, and those of its drafts that agree.
  private func updateDecode(
    _ segment: SchedulerOutput.Segment, _ request: ActiveRequest, _ logits: UnsafeBufferPointer<Float>,
    _ rows: Range<Int>
  ) throws(ServingError) {
    let sequence = segment.sequence
    let sample = sequence.sample
    var tokens: [GeneratedToken] = []
    tokens.reserveCapacity(rows.count)
    var finish: FinishReason?
    var accepted = 0
    if segment.draftCount == 0 {
      let token = try draw(sample, of: request, position: sequence.tokens.count, logits, row: rows.lowerBound)
      finish = append(token, to: sample, of: request, into: &tokens)
    } else {
      var verifier = DraftVerifier(drafts: Array(sequence.drafts[..<segment.draftCount]))
      var goesOn = true
      while goesOn {
        let token = try draw(
          sample, of: request, position: sequence.tokens.count, logits, row: rows.lowerBound + verifier.tokens.count)
        goesOn = verifier.take(token.id)
        finish = append(token, to: sample, of: request, into: &tokens)
        if finish != nil { break }
      }
      accepted = verifier.accepted
      speculator.record(
        sequence, &request.samples[sample].drafts, proposed: segment.draftCount, accepted: accepted)
      request.summary.draftedTokens += segment.draftCount
      request.summary.acceptedTokens += accepted
      statistics.draftedTokens += UInt64(segment.draftCount)
      statistics.acceptedTokens += UInt64(accepted)
    }
    // The blocks behind hold keys and values of drafts that failed; they are written over.
    advance(sequence, to: segment.start + segment.count + accepted)
    emit(tokens, of: sample, in: request, finish: finish)
  }

  /// A chunk of a prompt; at the prefix's end the samples' first tokens.
  private func updatePrefill(
    _ segment: SchedulerOutput.Segment, _ request: ActiveRequest, _ group: SequenceGroup,
    _ logits: UnsafeBufferPointer<Float>, _ rows: Range<Int>
  ) throws(ServingError) {
    let end = segment.start + segment.count
    advance(segment.sequence, to: end)
    if group.isLent {
      lendBlocks(of: request)
      if end == group.prefixCount { try endPrefill(request, logits, row: rows.lowerBound) }
      return
    }
    guard !group.isForked, end == group.prefixCount else { return }
    scheduler.fork(group)
    try startSamples(of: request) { (sample: Int) throws(ServingError) -> (GeneratedToken, FinishReason?)? in
      guard !rows.isEmpty else { return nil }
      return (try draw(sample, of: request, position: end, logits, row: rows.lowerBound), nil)
    }
  }

  /// After the fork: a first token for each sample that has none, and the end of those that were stopped meanwhile.
  func startSamples(
    of request: ActiveRequest,
    _ first: (Int) throws(ServingError) -> (GeneratedToken, FinishReason?)?
  ) throws(ServingError) {
    guard let group = request.group else { return }
    for sample in request.samples.indices {
      guard let sequence = group.sequences.indices.contains(sample) ? group.sequences[sample] : nil else { return }
      if request.samples[sample].isStopping { scheduler.finish(sequence) }
      if request.samples[sample].isFinished || sequence.tokens.count > group.prefixCount { continue }
      guard let (token, given) = try first(sample) else { continue }
      var tokens: [GeneratedToken] = []
      let finish = append(token, to: sample, of: request, finish: given, into: &tokens)
      emit(tokens, of: sample, in: request, finish: finish)
    }
  }

  func draw(
    _ sample: Int, of request: ActiveRequest, position: Int, _ logits: UnsafeBufferPointer<Float>, row: Int
  ) throws(ServingError) -> GeneratedToken {
    let values = UnsafeBufferPointer(rebasing: logits[row * vocabularySize..<(row + 1) * vocabularySize])
    return try sampler.sample(
      logits: values, parameters: request.parameters, sampleIndex: sample, position: position,
      context: request.samples[sample].counts)
  }
}
