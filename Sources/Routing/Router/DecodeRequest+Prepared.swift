import Directory
import RPC
import ServingProtos
import ServingTypes

extension Baton_V1_DecodeRequest {
  /// The request as a decode worker takes it, with what its samples have so far and without what the client has already.
  init(_ request: PreparedRequest, progress: GenerationProgress, decision: RoutingDecision) {
    self.init()
    requestID = request.id.value
    model = request.model
    promptTokens = wireTokens(request.prompt)
    if progress.hasTokens { generated = wireSamples(progress.generated) }
    sampling = Baton_V1_SamplingParameters(request.sampling)
    if progress.missingPromptLogprobs == 0 { sampling.clearPromptLogprobs() }
    cacheSalt = request.cacheSalt
    tenant = request.tenant
    priority = Int32(clamping: request.priority)
    prefillCandidates = decision.prefill.map { Baton_V1_WorkerReference($0.reference) }
    holders = decision.holders.map { Baton_V1_BlockHolder($0) }
    expectedIncarnation = decision.decode.reference.incarnation.value
  }
}
