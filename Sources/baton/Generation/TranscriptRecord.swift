import Routing
import ServingTypes

/// The JSON object of `baton generate --json`.
struct TranscriptRecord: Encodable {
  struct Worker: Encodable {
    var id: String
    var address: String
    var incarnation: String

    init(_ reference: WorkerReference) {
      id = reference.id.value
      address = reference.address
      incarnation = reference.incarnation.description
    }
  }

  struct Candidate: Encodable {
    var worker: String
    var role: String
    var cost: Double
    var predictedCachedBlocks: Int
    var predictedFetchableBlocks: Int
    var load: Double
    var prefill: Double
    var cached: Double
    var pending: Double
    var active: Double
    var waiting: Double
    var recent: Double
    var doubtful: Bool
    var chosen: Bool
  }

  struct Failure: Encodable {
    var worker: String
    var code: String
    var reason: String
  }

  struct Route: Encodable {
    var decode: Worker?
    var prefill: Worker?
    var decodeCachedTokens: Int
    var prefillCachedTokens: Int
    var computedTokens: Int
    var transferredBlocks: Int
    var transferredBytes: Int
    var fetchedBlocks: Int
    var draftedTokens: Int
    var acceptedTokens: Int
    var migrations: Int
    var candidates: [Candidate]
    var prefillFailures: [Failure]
  }

  /// Seconds. `total` and `firstText` are the client's, the others the workers'.
  struct Timing: Encodable {
    var routing: Double
    var decodeQueue: Double
    var prefillQueue: Double
    var prefill: Double
    var transfer: Double
    var admission: Double
    var firstStep: Double
    var firstToken: Double
    var decode: Double
    var fetch: Double
    var firstText: Double?
    var total: Double
  }

  /// Written as `[id, logprob]`.
  struct TopLogprob: Encodable {
    var token: TokenID
    var logprob: Float

    func encode(to encoder: any Encoder) throws {
      var pair = encoder.unkeyedContainer()
      try pair.encode(token)
      try pair.encode(logprob)
    }
  }

  var requestId: String
  var model: String
  var promptTokenIds: [TokenID]
  var tokenIds: [TokenID]
  var text: String
  var finishReason: String?
  var logprobs: [Float?]
  var topLogprobs: [[TopLogprob]]
  var timing: Timing
  var cachedTokens: Int
  var tokensPerSecond: Double
  var route: Route

  init(_ transcript: GenerationTranscript) {
    requestId = transcript.requestID
    model = transcript.model
    promptTokenIds = transcript.promptTokens
    tokenIds = transcript.tokens.map(\.id)
    text = transcript.text
    finishReason = transcript.finish?.rawValue
    logprobs = transcript.tokens.contains { $0.logprob != nil } ? transcript.tokens.map(\.logprob) : []
    topLogprobs = transcript.tokens.map { $0.top.map { TopLogprob(token: $0.token, logprob: $0.logprob) } }
    cachedTokens = transcript.usage.cachedTokens
    tokensPerSecond = transcript.tokensPerSecond
    let timeline = transcript.timeline
    timing = Timing(
      routing: timeline.routingSeconds, decodeQueue: timeline.decodeQueueSeconds,
      prefillQueue: timeline.prefillQueueSeconds,
      prefill: timeline.prefillSeconds, transfer: timeline.transferSeconds, admission: timeline.admissionSeconds,
      firstStep: timeline.firstStepSeconds, firstToken: timeline.firstTokenSeconds,
      decode: timeline.decodeSeconds, fetch: timeline.fetchSeconds, firstText: transcript.firstTextSeconds,
      total: transcript.totalSeconds)
    let route = transcript.route
    self.route = Route(
      decode: route.decode.map(Worker.init), prefill: route.prefill.map(Worker.init),
      decodeCachedTokens: route.decodeCachedTokens, prefillCachedTokens: route.prefillCachedTokens,
      computedTokens: route.computedTokens, transferredBlocks: route.transferredBlocks,
      transferredBytes: route.transferredBytes, fetchedBlocks: route.fetchedBlocks,
      draftedTokens: route.draftedTokens,
      acceptedTokens: route.acceptedTokens, migrations: route.migrations,
      candidates: route.candidates.map { candidate in
        Candidate(
          worker: candidate.worker.value, role: candidate.role.rawValue, cost: candidate.cost,
          predictedCachedBlocks: candidate.predictedCachedBlocks,
          predictedFetchableBlocks: candidate.predictedFetchableBlocks, load: candidate.load,
          prefill: candidate.prefill, cached: candidate.cached, pending: candidate.pending, active: candidate.active,
          waiting: candidate.waiting, recent: candidate.recent, doubtful: candidate.isDoubtful, chosen: candidate.chosen
        )
      },
      prefillFailures: route.prefillFailures.map {
        Failure(worker: $0.worker.id.value, code: $0.code.rawValue, reason: $0.reason)
      })
  }
}
