import Foundation
import Routing
import ServingTypes

extension GenerationTranscript {
  /// Where the request ran, what it reused and how long each part took, for a reader.
  var explanation: String {
    func time(_ seconds: Double) -> String {
      seconds < 1 ? String(format: "%.1f ms", seconds * 1000) : String(format: "%.2f s", seconds)
    }
    func blocks(_ count: Double) -> String { String(format: "%.1f", count) }
    func place(_ worker: WorkerReference?) -> String { worker.map { "\($0.id) (\($0.address))" } ?? "-" }
    var lines = ["request   \(requestID), model \(model)"]
    if route.prefill == nil {
      lines.append("route     \(place(route.decode)) did both parts")
    } else {
      lines.append("route     prefill \(place(route.prefill)), decode \(place(route.decode))")
    }
    if route.migrations > 0 { lines.append("          moved \(route.migrations) times") }
    for failure in route.prefillFailures {
      lines.append("          prefill \(place(failure.worker)) failed: \(failure.code.rawValue), \(failure.reason)")
    }
    let bytes = String(format: "%.2f MiB", Double(route.transferredBytes) / 1_048_576)
    lines.append(
      "prompt    \(promptTokens.count) tokens: \(usage.cachedTokens) cached"
        + " (\(route.decodeCachedTokens) at decode, \(route.prefillCachedTokens) at prefill),"
        + " \(route.computedTokens) computed; \(route.transferredBlocks) blocks (\(bytes)) handed over")
    if route.fetchedBlocks > 0 {
      lines.append(
        "          \(route.fetchedBlocks) blocks fetched from other workers in \(time(timeline.fetchSeconds))")
    }
    lines.append(
      "time      routing \(time(timeline.routingSeconds)),"
        + " queue \(time(timeline.decodeQueueSeconds + timeline.prefillQueueSeconds)),"
        + " prefill \(time(timeline.prefillSeconds)), transfer \(time(timeline.transferSeconds)),"
        + " admission \(time(timeline.admissionSeconds)), first token \(time(timeline.firstTokenSeconds)),"
        + " first step \(time(timeline.firstStepSeconds)), decode \(time(timeline.decodeSeconds)),"
        + " in all \(time(totalSeconds))")
    lines.append(
      "output    \(tokens.count) tokens, \(String(format: "%.1f", tokensPerSecond)) a second after the first;"
        + " drafts \(route.acceptedTokens) of \(route.draftedTokens) accepted; ended by \(finish?.rawValue ?? "nothing")"
    )
    for candidate in route.candidates {
      lines.append(
        "candidate \(candidate.worker) (\(candidate.role.rawValue)): cost \(blocks(candidate.cost))"
          + " = prefill \(blocks(candidate.prefill)) + load \(blocks(candidate.load)) (pending \(blocks(candidate.pending)),"
          + " active \(blocks(candidate.active)), waiting \(blocks(candidate.waiting)), recent \(blocks(candidate.recent)));"
          + " \(candidate.predictedCachedBlocks) blocks predicted as cached,"
          + " \(candidate.predictedFetchableBlocks) to be had elsewhere"
          + (candidate.isDoubtful ? ", doubtful" : "") + (candidate.chosen ? ", chosen" : ""))
    }
    return lines.joined(separator: "\n") + "\n"
  }
}
