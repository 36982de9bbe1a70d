import Engine
import PrefillServer
import RPC
import ServingProtos
import ServingTypes

/// A `DecodeRequest` that was read and checked.
struct DecodeCall: Sendable {
  let request: EngineRequest
  let candidates: [WorkerReference]
  private let model: String

  /// - Throws: `failedPrecondition`, `notFound`, `invalidArgument` that name what is wrong.
  init(
    _ message: Baton_V1_DecodeRequest, worker: WorkerState, deadline: ContinuousClock.Instant?
  ) throws(ServingError) {
    try worker.expect(incarnation: message.expectedIncarnation)
    try worker.expect(model: message.model)
    var sampling = try SamplingParameters(message.sampling)
    // Both workers have to draw the same tokens.
    if sampling.seed == nil { sampling.seed = .random(in: 0...UInt64.max) }
    request = EngineRequest(
      id: message.requestID.isEmpty ? .random() : RequestID(message.requestID),
      prompt: try tokenIDs(message.promptTokens, field: "prompt_tokens"),
      generated: try generatedTokens(message.generated, n: sampling.n), sampling: sampling,
      cacheSalt: message.cacheSalt, tenant: message.tenant, priority: Int(message.priority), deadline: deadline)
    var candidates: [WorkerReference] = []
    for candidate in message.prefillCandidates { candidates.append(try WorkerReference(candidate)) }
    self.candidates = candidates
    model = message.model
  }

  /// The samples for which a hand-off brings a first token: those with nothing beyond what its blocks hold.
  var samplesWithoutTokens: [Int] {
    if request.sampling.n == 1 { return [0] }
    return (0..<request.sampling.n).filter { request.generated.isEmpty || request.generated[$0].isEmpty }
  }

  func open(_ candidate: WorkerReference, layout: KVLayout, heldBlocks: Int) -> Baton_V1_PrefillOpen {
    var open = Baton_V1_PrefillOpen()
    open.requestID = request.id.value
    open.model = model
    open.promptTokens = wireTokens(request.prompt)
    open.generated = wireSamples(request.generated)
    open.sampling = Baton_V1_SamplingParameters(request.sampling)
    open.cacheSalt = request.cacheSalt
    open.tenant = request.tenant
    open.priority = Int32(clamping: request.priority)
    open.expectedIncarnation = candidate.incarnation.value
    open.layoutDigest = layout.digest
    open.layout = layout.description
    open.heldBlocks = UInt32(clamping: heldBlocks)
    return open
  }
}
