import Directory
import RPC
import ServingProtos
import ServingTypes

extension Baton_V1_DecodeRequest {
  /// The request as a decode worker takes it, with what its samples have so far.
  init(_ request: PreparedRequest, generated: [[TokenID]], decision: RoutingDecision) {
    self.init()
    requestID = request.id.value
    model = request.model
    promptTokens = wireTokens(request.prompt)
    if generated.contains(where: { !$0.isEmpty }) { self.generated = wireSamples(generated) }
    sampling = Baton_V1_SamplingParameters(request.sampling)
    cacheSalt = request.cacheSalt
    tenant = request.tenant
    priority = Int32(clamping: request.priority)
    prefillCandidates = decision.prefill.map { Baton_V1_WorkerReference($0.reference) }
    expectedIncarnation = decision.decode.reference.incarnation.value
  }
}
