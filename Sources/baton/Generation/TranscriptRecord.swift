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
    var predicted_cached_blocks: Int
    var load: Double
    var chosen: Bool
  }

  struct Route: Encodable {
    var decode: Worker?
    var prefill: Worker?
    var decode_cached_tokens: Int
    var prefill_cached_tokens: Int
    var computed_tokens: Int
    var transferred_blocks: Int
    var transferred_bytes: Int
    var drafted_tokens: Int
    var accepted_tokens: Int
    var migrations: Int
    var candidates: [Candidate]
  }

  /// Seconds. `total` and `first_text` are the client's, the others the workers'.
  struct Timing: Encodable {
    var decode_queue: Double
    var prefill_queue: Double
    var prefill: Double
    var transfer: Double
    var first_token: Double
    var decode: Double
    var first_text: Double?
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

  var request_id: String
  var model: String
  var prompt_token_ids: [TokenID]
  var token_ids: [TokenID]
  var text: String
  var finish_reason: String?
  var logprobs: [Float?]
  var top_logprobs: [[TopLogprob]]
  var timing: Timing
  var cached_tokens: Int
  var tokens_per_second: Double
  var route: Route

  init(_ transcript: GenerationTranscript) {
    request_id = transcript.requestID
    model = transcript.model
    prompt_token_ids = transcript.promptTokens
    token_ids = transcript.tokens.map(\.id)
    text = transcript.text
    finish_reason = transcript.finish?.rawValue
    logprobs = transcript.tokens.contains { $0.logprob != nil } ? transcript.tokens.map(\.logprob) : []
    top_logprobs = transcript.tokens.map { $0.top.map { TopLogprob(token: $0.token, logprob: $0.logprob) } }
    cached_tokens = transcript.usage.cachedTokens
    tokens_per_second = transcript.tokensPerSecond
    let timeline = transcript.timeline
    timing = Timing(
      decode_queue: timeline.decodeQueueSeconds, prefill_queue: timeline.prefillQueueSeconds,
      prefill: timeline.prefillSeconds, transfer: timeline.transferSeconds, first_token: timeline.firstTokenSeconds,
      decode: timeline.decodeSeconds, first_text: transcript.firstTextSeconds, total: transcript.totalSeconds)
    let route = transcript.route
    self.route = Route(
      decode: route.decode.map(Worker.init), prefill: route.prefill.map(Worker.init),
      decode_cached_tokens: route.decodeCachedTokens, prefill_cached_tokens: route.prefillCachedTokens,
      computed_tokens: route.computedTokens, transferred_blocks: route.transferredBlocks,
      transferred_bytes: route.transferredBytes, drafted_tokens: route.draftedTokens,
      accepted_tokens: route.acceptedTokens, migrations: route.migrations,
      candidates: route.candidates.map { candidate in
        Candidate(
          worker: candidate.worker.value, role: candidate.role.rawValue, cost: candidate.cost,
          predicted_cached_blocks: candidate.predictedCachedBlocks, load: candidate.load, chosen: candidate.chosen)
      })
  }
}
