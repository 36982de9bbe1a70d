import Observability
import Routing
import ServingTypes

/// Writes where requests ran, what they reused and how long each part took, as an answer's `baton` field.
enum ExplanationEncoder {
  static func append(
    _ explanations: [(route: GenerationRoute?, timeline: GenerationTimeline?)], to bytes: inout [UInt8]
  ) {
    bytes.append(contentsOf: ",\"baton\":[".utf8)
    for (index, (route, timeline)) in explanations.enumerated() {
      if index > 0 { bytes.append(UInt8(ascii: ",")) }
      bytes.append(contentsOf: "{\"route\":".utf8)
      if let route { append(route, to: &bytes) } else { bytes.append(contentsOf: "null".utf8) }
      bytes.append(contentsOf: ",\"timeline\":".utf8)
      if let timeline { append(timeline, to: &bytes) } else { bytes.append(contentsOf: "null".utf8) }
      bytes.append(UInt8(ascii: "}"))
    }
    bytes.append(UInt8(ascii: "]"))
  }

  private static func append(_ route: GenerationRoute, to bytes: inout [UInt8]) {
    bytes.append(contentsOf: "{\"decode\":".utf8)
    appendOptional(route.decode?.id.value, to: &bytes)
    bytes.append(contentsOf: ",\"prefill\":".utf8)
    appendOptional(route.prefill?.id.value, to: &bytes)
    let counts = [
      ("decode_cached_tokens", route.decodeCachedTokens), ("prefill_cached_tokens", route.prefillCachedTokens),
      ("computed_tokens", route.computedTokens), ("transferred_blocks", route.transferredBlocks),
      ("transferred_bytes", route.transferredBytes), ("fetched_blocks", route.fetchedBlocks),
      ("drafted_tokens", route.draftedTokens),
      ("accepted_tokens", route.acceptedTokens), ("migrations", route.migrations),
    ]
    for (name, count) in counts { bytes.append(contentsOf: ",\"\(name)\":\(count)".utf8) }
    bytes.append(contentsOf: ",\"candidates\":[".utf8)
    for (index, candidate) in route.candidates.enumerated() {
      if index > 0 { bytes.append(UInt8(ascii: ",")) }
      bytes.append(contentsOf: "{\"worker\":".utf8)
      JSONText.append(candidate.worker.value, to: &bytes)
      bytes.append(contentsOf: ",\"role\":\"\(candidate.role.rawValue)\",\"cost\":".utf8)
      JSONText.append(candidate.cost, to: &bytes)
      bytes.append(contentsOf: ",\"predicted_cached_blocks\":\(candidate.predictedCachedBlocks)".utf8)
      bytes.append(contentsOf: ",\"predicted_fetchable_blocks\":\(candidate.predictedFetchableBlocks),\"load\":".utf8)
      JSONText.append(candidate.load, to: &bytes)
      for (name, blocks) in [
        ("prefill", candidate.prefill), ("cached", candidate.cached), ("pending", candidate.pending),
        ("active", candidate.active), ("waiting", candidate.waiting), ("recent", candidate.recent),
      ] {
        bytes.append(contentsOf: ",\"\(name)\":".utf8)
        JSONText.append(blocks, to: &bytes)
      }
      bytes.append(
        contentsOf: ",\"doubtful\":\(candidate.isDoubtful),\"chosen\":\(candidate.chosen)}".utf8)
    }
    bytes.append(contentsOf: "],\"prefill_failures\":[".utf8)
    for (index, failure) in route.prefillFailures.enumerated() {
      bytes.append(contentsOf: "\(index > 0 ? "," : ""){\"worker\":".utf8)
      JSONText.append(failure.worker.id.value, to: &bytes)
      bytes.append(contentsOf: ",\"code\":\"\(failure.code.rawValue)\",\"reason\":".utf8)
      JSONText.append(failure.reason, to: &bytes)
      bytes.append(UInt8(ascii: "}"))
    }
    bytes.append(contentsOf: "]}".utf8)
  }

  private static func append(_ timeline: GenerationTimeline, to bytes: inout [UInt8]) {
    let parts = [
      ("routing_seconds", timeline.routingSeconds), ("admission_seconds", timeline.admissionSeconds),
      ("first_step_seconds", timeline.firstStepSeconds), ("decode_queue_seconds", timeline.decodeQueueSeconds),
      ("prefill_queue_seconds", timeline.prefillQueueSeconds),
      ("prefill_seconds", timeline.prefillSeconds), ("transfer_seconds", timeline.transferSeconds),
      ("first_token_seconds", timeline.firstTokenSeconds), ("decode_seconds", timeline.decodeSeconds),
      ("fetch_seconds", timeline.fetchSeconds),
    ]
    for (index, (name, seconds)) in parts.enumerated() {
      bytes.append(contentsOf: "\(index == 0 ? "{" : ",")\"\(name)\":".utf8)
      JSONText.append(seconds, to: &bytes)
    }
    bytes.append(UInt8(ascii: "}"))
  }

  private static func appendOptional(_ text: String?, to bytes: inout [UInt8]) {
    if let text { JSONText.append(text, to: &bytes) } else { bytes.append(contentsOf: "null".utf8) }
  }
}
