import ModelRuntime
import Scheduling
import ServingTypes

/// What the engine's thread knows of a request until it ends.
final class ActiveRequest {
  /// A sample's state beside its sequence.
  struct Sample {
    var counts: TokenCounts
    var drafts: SampleDrafts
    var isFinished = false
    /// Finished by its limit, not by itself.
    var hasReachedLimit = false
    /// Stopped before the group forked.
    var isStopping = false
  }

  let submission: Submission
  /// Nil when every sample had finished before the request came.
  let group: SequenceGroup?
  var samples: [Sample]
  var summary = GenerationSummary()
  var firstToken: ContinuousClock.Instant?
  /// Takes one of the places that `maxQueuedRequests` bounds.
  var hasQueuePlace = true
  var endOfGeneration: [TokenID]

  /// Of the prompt's tokens from the second on, where the request asked for them.
  var promptLogprobs: [GeneratedToken] = []
  var hasSentPromptLogprobs = false

  // For a prefill: the next block to lend, and how many requests were last said to be ahead.
  var nextLoan: Int
  var reportedAhead: Int?

  // For a receive: blocks that are here, in order, and who waits for what.
  var committedBlocks = 0
  var reserveReply: EngineCommand.Reply<Int>?
  var bindReply: EngineCommand.Reply<[BlockSlot]>?

  init(_ submission: Submission, group: SequenceGroup?, samples: [Sample], endOfGeneration: [TokenID]) {
    self.submission = submission
    self.group = group
    self.samples = samples
    self.endOfGeneration = endOfGeneration
    if case .prefill(let held) = submission.kind { nextLoan = held } else { nextLoan = 0 }
    summary.promptTokens = submission.request.prompt.count
  }

  var parameters: SamplingParameters { submission.request.sampling }

  /// Why a sample ends that has `count` generated tokens, the last of which is `token`; nil when it goes on.
  func finishReason(count: Int, token: TokenID, maximumContextLength: Int) -> FinishReason? {
    if count >= parameters.minTokens {
      if !parameters.ignoreEOS, endOfGeneration.contains(token) { return .stop }
      if parameters.stopTokenIDs.contains(token) { return .stop }
    }
    if let limit = parameters.maxTokens, count >= limit { return .length }
    return submission.request.prompt.count + count >= maximumContextLength ? .length : nil
  }
}
