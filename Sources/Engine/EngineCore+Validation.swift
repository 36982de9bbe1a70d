import ModelRuntime
import ServingTypes

extension EngineCore {
  /// The two models must speak of the same tokens and cut sequences into the same blocks.
  static func validate(
    _ draft: (any ModelExecutor)?, for target: any ModelExecutor, _ configuration: EngineConfiguration
  ) throws(ServingError) {
    guard configuration.speculates, configuration.specMethod == .draft else { return }
    guard let draft else {
      throw ServingError(.invalidArgument, "spec_method is draft, and no draft model is given (draft_model)")
    }
    guard draft.vocabularySize == target.vocabularySize else {
      throw ServingError(
        .invalidArgument,
        "the draft model has \(draft.vocabularySize) tokens; the model has \(target.vocabularySize): their vocabularies must"
          + " be the same")
    }
    guard draft.layout.blockSize == target.layout.blockSize else {
      throw ServingError(
        .invalidArgument,
        "the draft model's block_size is \(draft.layout.blockSize), the model's \(target.layout.blockSize): they must agree"
      )
    }
  }

  /// Checks everything about a request that can be checked before it is queued.
  func validate(_ request: EngineRequest, kind: Submission.Kind) throws(ServingError) {
    func require(_ holds: Bool, _ message: @autoclosure () -> String) throws(ServingError) {
      if !holds { throw ServingError(.invalidArgument, message()) }
    }
    try require(!request.prompt.isEmpty, "the prompt has no tokens")
    try request.sampling.validate(vocabularySize: vocabularySize)
    if request.sampling.promptLogprobs != nil {
      guard case .generate = kind else {
        throw ServingError(.invalidArgument, "prompt_logprobs need a worker that computes the prompt itself")
      }
    }
    if configuration.reservesLongestContext {
      guard case .generate = kind, request.sampling.n == 1 else {
        throw ServingError(.invalidArgument, "reserved contexts hold one sample of a prompt that is computed here")
      }
    }
    try require(
      request.sampling.n <= configuration.maxNumSeqs,
      "n is \(request.sampling.n); this worker runs \(configuration.maxNumSeqs) sequences at most")
    try require(
      request.generated.isEmpty || request.generated.count == request.sampling.n,
      "generated tokens are given for \(request.generated.count) samples; n is \(request.sampling.n)")
    let longest = request.generated.map(\.count).max() ?? 0
    try require(
      request.prompt.count < maximumContextLength,
      "the prompt has \(request.prompt.count) tokens; with at least one new token the context holds"
        + " \(maximumContextLength)")
    try require(
      request.prompt.count + longest <= maximumContextLength,
      "prompt and generated tokens are \(request.prompt.count + longest); the context holds \(maximumContextLength)")
    func check(_ tokens: [TokenID], _ what: String) throws(ServingError) {
      let limit = TokenID(clamping: vocabularySize)
      if let bad = tokens.first(where: { $0 < 0 || $0 >= limit }) {
        throw ServingError(
          .invalidArgument, "the \(what) contains token \(bad); the vocabulary has \(vocabularySize) tokens")
      }
    }
    try check(request.prompt, "prompt")
    for tokens in request.generated { try check(tokens, "generated text") }
  }
}

extension EngineConfiguration {
  /// Checks each parameter's range.
  public func validate() throws(ServingError) {
    func require(_ holds: Bool, _ message: @autoclosure () -> String) throws(ServingError) {
      if !holds { throw ServingError(.invalidArgument, message()) }
    }
    func positive(_ value: Int, _ name: String) throws(ServingError) {
      try require(value >= 1, "\(name) is \(value); it must be at least 1")
    }
    func notNegative(_ value: Duration, _ name: String) throws(ServingError) {
      try require(value >= .zero, "\(name) is \(value); it must not be negative")
    }
    try positive(maxNumSeqs, "max_num_seqs")
    if let maxModelLen { try require(maxModelLen >= 2, "max_model_len is \(maxModelLen); it must be at least 2") }
    try positive(maxNumBatchedTokens, "max_num_batched_tokens")
    try positive(maxPrefillTokens, "max_prefill_tokens")
    try positive(prefillChunkSize, "prefill_chunk_size")
    try positive(handoffChunkSize, "handoff_chunk_size")
    try positive(maxQueuedRequests, "max_queued_requests")
    try positive(cacheLogLimit, "cache_log_limit")
    try require(numSpeculativeTokens >= 0, "num_speculative_tokens is \(numSpeculativeTokens); it must be 0 or more")
    try require(swapSpace >= 0, "swap_space is \(swapSpace); it must be 0 or more")
    try positive(offloadSpace, "offload_space")
    try require(
      (1...64).contains(offloadNumThreads), "offload_num_threads is \(offloadNumThreads); 1 to 64 are possible")
    try require((0...1).contains(offloadThreshold), "offload_threshold is \(offloadThreshold); it must be 0 to 1")
    try positive(prefetchBlocks, "prefetch_blocks")
    try positive(fetchMinBlocks, "fetch_min_blocks")
    try positive(fetchBandwidth, "fetch_bandwidth")
    try notNegative(fetchTimeout, "fetch_timeout")
    try notNegative(targetStepTime, "target_step_time")
    try notNegative(schedulingInterval, "scheduling_interval")
    try notNegative(batchMergeWindow, "batch_merge_window")
    try require(maxQueueWait > .zero, "max_queue_wait is \(maxQueueWait); it must be positive")
    try notNegative(stopGracePeriod, "stop_grace_period")
    try require(
      !reservesLongestContext || !enablePrefixCaching && swapSpace == 0 && offloadDir == nil,
      "reserved contexts share no blocks and move none: they exclude prefix caching and tiers")
  }
}
