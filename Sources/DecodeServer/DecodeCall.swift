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
    _ message: Baton_V1_DecodeRequest, worker: WorkerState, vocabularySize: Int, deadline: ContinuousClock.Instant?
  ) throws(ServingError) {
    try worker.expect(incarnation: message.expectedIncarnation)
    try worker.expect(model: message.model)
    var sampling = try SamplingParameters(message.sampling)
    // Before anything is made for each sample or stop string.
    try sampling.validate(vocabularySize: vocabularySize)
    // Both workers have to draw the same tokens.
    if sampling.seed == nil { sampling.seed = .random(in: 0...UInt64.max) }
    request = EngineRequest(
      id: message.requestID.isEmpty ? .random() : RequestID(message.requestID),
      prompt: try tokenIDs(message.promptTokens, field: "prompt_tokens"),
      generated: try generatedTokens(message.generated, n: sampling.n), sampling: sampling,
      cacheSalt: message.cacheSalt, tenant: message.tenant, priority: Int(message.priority), deadline: deadline,
      holders: try BlockHolder.list(message.holders, besides: worker.id))
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

  /// - Parameter own: this worker, which lends what it holds.
  func open(
    _ candidate: WorkerReference, layout: KVLayout, heldBlocks: Int, own: WorkerReference
  ) -> Baton_V1_PrefillOpen {
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
    var holders = request.holders.filter { $0.worker.id != candidate.id }
    // Here it is known, and not only believed.
    if heldBlocks > 0 { holders.insert(BlockHolder(worker: own, blocks: heldBlocks), at: 0) }
    open.holders = holders.map { Baton_V1_BlockHolder($0) }
    return open
  }
}
