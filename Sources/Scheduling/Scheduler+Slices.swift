import KVCache
import ServingTypes

// A long prompt beside running sequences goes through the layers in large chunks, and each of them in slices: a step computes
// as much of the chunk as its time allows. Small chunks would keep the steps as short, but each of them reads the weights, and
// all keys and values before it, for few tokens. One chunk at a time; its tokens count as computed when its last slice is done.
extension Scheduler {
  /// A step with a slice takes at most so many times what one without prompt tokens typically does: where it ends is known
  /// better than that of a chunk, but whatever disturbs it after its slice comes on top.
  private static let slicedStep = 2.95
  /// A prompt that ends within so many steps goes beside the next tokens, which read the weights for it.
  private static let fewSteps = 4

  /// Makes the oldest prompt's next chunk one of slices, where that is better than what the step has left for it.
  ///
  /// - Returns: false when the step should compute an ordinary chunk.
  func beginSlices(of sequence: Sequence, rank: Int, _ budget: StepBudget) -> Bool {
    let group = sequence.group
    let left = sequence.nextStop - sequence.computedCount
    // Of prompts whose logits are all wanted few tokens fit a chunk, and nobody waits beside what is handed over. How long
    // a step may take is known once one without prompt tokens was measured.
    guard configuration.slicedChunkSize > 0, output.decodeTokens > 0, aimsAtStepTime, costs.decode.isMeasured,
      !group.isLent, !group.lacksPromptLogits,
      // Where one step holds much of such a chunk, it holds an ordinary one that is large enough.
      Self.fewSteps * max(1, budget.prompt) < min(left, configuration.slicedChunkSize)
    else { return false }
    let count = chunk(of: sequence, limit: configuration.slicedChunkSize)
    guard makeRoom(for: sequence, through: sequence.computedCount + count, rank: rank) else { return true }
    sliced = SchedulerOutput.Segment(
      sequence: sequence, start: sequence.computedCount, count: count, draftCount: 0,
      logitCount: wantsToken(sequence, after: sequence.computedCount + count) ? 1 : 0, isDecode: false)
    isSliceFirst = true
    return true
  }

  /// The step goes on with the chunk, whoever decodes beside it by now.
  func scheduleSlice(target: Double?) {
    guard let sliced, var target else { return }
    if output.decodeTokens > 0, let alone = costs.decodeSeconds(tokens: output.decodeTokens) {
      target = min(target, Self.slicedStep * alone)
    }
    output.slice = SchedulerOutput.Slice(segment: sliced, isFirst: isSliceFirst, stepSeconds: target)
    isSliceFirst = false
  }

  /// The chunk's last slice is done, and its results follow.
  ///
  /// - Parameter seconds: what all its slices took.
  public func endSlices(seconds: Double) {
    guard let sliced else { return }
    let count = sliced.count
    costs.observe(
      prefillTokens: count, prefillContext: count * sliced.start + count * (count - 1) / 2, decodeTokens: 0,
      seconds: seconds)
    self.sliced = nil
  }

  /// Proves that the chunk's blocks are its own.
  func checkSlices() throws(ServingError) {
    guard let sliced else { return }
    let (sequence, size) = (sliced.sequence, configuration.blockSize)
    let end = BlockTable.blockCount(tokens: sliced.start + sliced.count, blockSize: size)
    guard sequence.status == .running, sequence.computedCount == sliced.start, sequence.table.count >= end,
      !(sliced.start / size..<end).contains(where: { pool.isShared(sequence.table, at: $0) })
    else { throw ServingError(.internalError, "scheduler: the chunk that is computed in slices has lost its blocks") }
  }
}
