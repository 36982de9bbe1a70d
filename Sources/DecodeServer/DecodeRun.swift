import Engine
import PrefillServer
import RPC
import ServingProtos
import ServingTypes
import Tokenization

/// What a request's last message tells: its texts so far, its route and its time line.
struct DecodeRun {
  private let call: DecodeCall
  private let clock: ServingClock
  private let arrival: ContinuousClock.Instant
  private var texts: [SampleText]
  private var route = Baton_V1_Route()
  private var timeline = Baton_V1_Timeline()
  private var end: PrefillEnd?
  private var handedOffAt: ContinuousClock.Instant?
  private var completionTokens = 0
  private var firstTokenAt: ContinuousClock.Instant?
  private var lastTokenAt: ContinuousClock.Instant?
  private var lastTokensAt: [ContinuousClock.Instant?]

  init(_ call: DecodeCall, tokenizer: any Tokenizer, worker: WorkerState, clock: ServingClock) {
    self.call = call
    self.clock = clock
    arrival = clock.now
    let sampling = call.request.sampling
    texts = (0..<max(1, sampling.n)).map { _ in
      SampleText(tokenizer: tokenizer, stop: sampling.stop, minTokens: sampling.minTokens)
    }
    lastTokensAt = texts.map { _ in nil }
    route.decode = Baton_V1_WorkerReference(worker.reference)
  }

  // MARK: The hand-off

  mutating func reserved() {
    timeline.decodeQueueSeconds = secondsSinceArrival
  }

  mutating func handedOff(by candidate: WorkerReference, _ progress: HandoffAttempt.Progress, _ end: PrefillEnd) {
    self.end = end
    route.prefill = Baton_V1_WorkerReference(candidate)
    route.prefillCachedTokens = UInt32(clamping: end.cachedTokens)
    route.fetchedBlocks = UInt32(clamping: end.fetchedBlocks)
    timeline.fetchSeconds = end.fetchSeconds
    timeline.prefillQueueSeconds = end.queueSeconds
    timeline.prefillSeconds = end.prefillSeconds
    guard let started = progress.startedAt, let bound = progress.boundAt, let ended = progress.endedAt else { return }
    // The sender's clock is not ours, but it said when it began: blocks that came while it computed cost nothing.
    let computed = started + .seconds(end.prefillSeconds)
    timeline.transferSeconds = max(0, (ended - max(computed, bound)) / .seconds(1))
    timeline.admissionSeconds = (bound - started) / .seconds(1)
    handedOffAt = ended
  }

  mutating func failed(_ failure: Baton_V1_PrefillFailure) { route.prefillFailures.append(failure) }

  /// Blocks that came over and were verified, also when their hand-off failed in the end.
  mutating func transferred(_ blocks: Int, layout: KVLayout) {
    route.transferredBlocks += UInt32(clamping: blocks)
    route.transferredBytes += UInt64(blocks * layout.blockBytes())
  }

  // MARK: The tokens

  /// Takes in what a moved request had generated. Returns the samples that had ended with it.
  mutating func replay() -> [(sample: Int, update: SampleText.Update)] {
    var ended: [(Int, SampleText.Update)] = []
    for (sample, tokens) in call.request.generated.enumerated() where sample < texts.count {
      if texts[sample].replay(tokens) { ended.append((sample, SampleText.Update(finish: .stop))) }
    }
    return ended
  }

  mutating func take(
    sample: Int, _ tokens: [GeneratedToken], _ finish: FinishReason?, metrics: DecodeMetrics?
  ) throws(ServingError) -> SampleText.Update {
    guard texts.indices.contains(sample) else {
      throw ServingError(.internalError, "the engine reports the sample \(sample) of \(texts.count)")
    }
    let update = texts[sample].append(tokens, finish: finish)
    guard !update.tokens.isEmpty else { return update }
    let now = clock.now
    completionTokens += update.tokens.count
    if firstTokenAt == nil {
      firstTokenAt = now
      timeline.firstTokenSeconds = secondsSinceArrival
      if let handedOffAt { timeline.admissionSeconds += (now - handedOffAt) / .seconds(1) }
      metrics?.firstToken(seconds: timeline.firstTokenSeconds)
    }
    if let last = lastTokensAt[sample] {
      if timeline.firstStepSeconds == 0 { timeline.firstStepSeconds = (now - last) / .seconds(1) }
      metrics?.tokens(update.tokens.count, seconds: (now - last) / .seconds(1))
    }
    lastTokensAt[sample] = now
    lastTokenAt = now
    return update
  }

  func lastResponse(_ summary: GenerationSummary) -> Baton_V1_DecodeResponse {
    var route = route
    var timeline = timeline
    let promptTokens = call.request.prompt.count
    let computed = summary.computedTokens + (end?.computedTokens ?? 0)
    route.decodeCachedTokens = UInt32(clamping: summary.cachedTokens)
    route.computedTokens = UInt32(clamping: computed)
    route.draftedTokens = UInt32(clamping: summary.draftedTokens)
    route.acceptedTokens = UInt32(clamping: summary.acceptedTokens)
    if end == nil {
      timeline.decodeQueueSeconds = summary.queueSeconds
      timeline.prefillSeconds = summary.prefillSeconds
      timeline.fetchSeconds = summary.fetchSeconds
      route.fetchedBlocks = UInt32(clamping: summary.fetchedBlocks)
    }
    if let firstTokenAt, let lastTokenAt { timeline.decodeSeconds = (lastTokenAt - firstTokenAt) / .seconds(1) }
    var response = Baton_V1_DecodeResponse()
    response.route = route
    response.timeline = timeline
    response.usage = .with {
      $0.promptTokens = UInt32(clamping: promptTokens)
      $0.completionTokens = UInt32(clamping: completionTokens)
      $0.cachedTokens = UInt32(clamping: min(promptTokens, max(0, call.request.prefix.count - computed)))
    }
    return response
  }

  private var secondsSinceArrival: Double { (clock.now - arrival) / .seconds(1) }
}
