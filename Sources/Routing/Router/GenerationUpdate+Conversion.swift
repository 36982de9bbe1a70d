import RPC
import ServingProtos
import ServingTypes

extension SampleOutput {
  /// - Throws: `invalidArgument` or `dataLoss` on a field that is out of range.
  package init(_ message: Baton_V1_Output) throws(ServingError) {
    var tokens: [GeneratedToken] = []
    tokens.reserveCapacity(message.tokens.count)
    for token in message.tokens { tokens.append(try GeneratedToken(token)) }
    self.init(
      sample: Int(message.sample), tokens: tokens, text: message.text,
      finish: try FinishReason.decode(message.finishReason))
  }
}

extension Baton_V1_Output {
  package init(_ output: SampleOutput) {
    self.init()
    sample = UInt32(clamping: output.sample)
    tokens = output.tokens.map { Baton_V1_Token($0) }
    text = output.text
    finishReason = Baton_V1_FinishReason(output.finish)
  }
}

extension GenerationUsage {
  package init(_ message: Baton_V1_Usage) {
    self.init(
      promptTokens: Int(message.promptTokens), completionTokens: Int(message.completionTokens),
      cachedTokens: Int(message.cachedTokens))
  }
}

extension Baton_V1_Usage {
  package init(_ usage: GenerationUsage) {
    self.init()
    promptTokens = UInt32(clamping: usage.promptTokens)
    completionTokens = UInt32(clamping: usage.completionTokens)
    cachedTokens = UInt32(clamping: usage.cachedTokens)
  }
}

extension GenerationTimeline {
  package init(_ message: Baton_V1_Timeline) {
    self.init(
      decodeQueueSeconds: message.decodeQueueSeconds, prefillQueueSeconds: message.prefillQueueSeconds,
      prefillSeconds: message.prefillSeconds, transferSeconds: message.transferSeconds,
      firstTokenSeconds: message.firstTokenSeconds, decodeSeconds: message.decodeSeconds,
      fetchSeconds: message.fetchSeconds)
    routingSeconds = message.routingSeconds
    admissionSeconds = message.admissionSeconds
    firstStepSeconds = message.firstStepSeconds
  }
}

extension Baton_V1_Timeline {
  package init(_ timeline: GenerationTimeline) {
    self.init()
    decodeQueueSeconds = timeline.decodeQueueSeconds
    prefillQueueSeconds = timeline.prefillQueueSeconds
    prefillSeconds = timeline.prefillSeconds
    transferSeconds = timeline.transferSeconds
    firstTokenSeconds = timeline.firstTokenSeconds
    decodeSeconds = timeline.decodeSeconds
    fetchSeconds = timeline.fetchSeconds
    routingSeconds = timeline.routingSeconds
    admissionSeconds = timeline.admissionSeconds
    firstStepSeconds = timeline.firstStepSeconds
  }
}

extension PrefillFailure {
  /// - Throws: `invalidArgument` when the worker has no address.
  package init(_ message: Baton_V1_PrefillFailure) throws(ServingError) {
    self.init(
      worker: try WorkerReference(message.worker), code: StatusMapping.code(forStatus: Int(message.code)),
      reason: message.reason)
  }
}

extension Baton_V1_PrefillFailure {
  package init(_ failure: PrefillFailure) {
    self.init()
    worker = Baton_V1_WorkerReference(failure.worker)
    code = UInt32(StatusMapping.code(for: failure.code).rawValue)
    reason = failure.reason
  }
}

extension CandidateCost {
  init(_ message: Baton_V1_CandidateCost) throws(ServingError) {
    self.init(
      worker: WorkerID(message.worker), role: try WorkerRole(wire: message.role), cost: message.cost,
      predictedCachedBlocks: Int(message.predictedCachedBlocks),
      predictedFetchableBlocks: Int(message.predictedFetchableBlocks), load: message.load, chosen: message.chosen)
    prefill = message.prefill
    cached = message.cached
    pending = message.pending
    active = message.active
    waiting = message.waiting
    recent = message.recent
    isDoubtful = message.doubtful
  }
}

extension Baton_V1_CandidateCost {
  init(_ candidate: CandidateCost) {
    self.init()
    worker = candidate.worker.value
    role = candidate.role.rawValue
    cost = candidate.cost
    predictedCachedBlocks = UInt32(clamping: candidate.predictedCachedBlocks)
    predictedFetchableBlocks = UInt32(clamping: candidate.predictedFetchableBlocks)
    load = candidate.load
    chosen = candidate.chosen
    prefill = candidate.prefill
    cached = candidate.cached
    pending = candidate.pending
    active = candidate.active
    waiting = candidate.waiting
    recent = candidate.recent
    doubtful = candidate.isDoubtful
  }
}

extension GenerationRoute {
  /// - Throws: `invalidArgument` for a worker without an address or of no known role.
  package init(_ message: Baton_V1_Route) throws(ServingError) {
    var failures: [PrefillFailure] = []
    var candidates: [CandidateCost] = []
    for candidate in message.candidates { candidates.append(try CandidateCost(candidate)) }
    for failure in message.prefillFailures { failures.append(try PrefillFailure(failure)) }
    self.init(
      decode: message.hasDecode ? try WorkerReference(message.decode) : nil,
      prefill: message.hasPrefill ? try WorkerReference(message.prefill) : nil,
      decodeCachedTokens: Int(message.decodeCachedTokens), prefillCachedTokens: Int(message.prefillCachedTokens),
      computedTokens: Int(message.computedTokens), transferredBlocks: Int(message.transferredBlocks),
      transferredBytes: Int(clamping: message.transferredBytes), fetchedBlocks: Int(message.fetchedBlocks),
      draftedTokens: Int(message.draftedTokens), acceptedTokens: Int(message.acceptedTokens),
      migrations: Int(message.migrations), candidates: candidates, prefillFailures: failures)
  }
}

extension Baton_V1_Route {
  package init(_ route: GenerationRoute) {
    self.init()
    if let worker = route.decode { decode = Baton_V1_WorkerReference(worker) }
    if let worker = route.prefill { prefill = Baton_V1_WorkerReference(worker) }
    decodeCachedTokens = UInt32(clamping: route.decodeCachedTokens)
    prefillCachedTokens = UInt32(clamping: route.prefillCachedTokens)
    computedTokens = UInt32(clamping: route.computedTokens)
    transferredBlocks = UInt32(clamping: route.transferredBlocks)
    transferredBytes = UInt64(clamping: route.transferredBytes)
    fetchedBlocks = UInt32(clamping: route.fetchedBlocks)
    draftedTokens = UInt32(clamping: route.draftedTokens)
    acceptedTokens = UInt32(clamping: route.acceptedTokens)
    migrations = UInt32(clamping: route.migrations)
    prefillFailures = route.prefillFailures.map { Baton_V1_PrefillFailure($0) }
    candidates = route.candidates.map { Baton_V1_CandidateCost($0) }
  }
}
