import Foundation
import Routing
import ServingTypes

/// One generation from its first update to its last, and what can be said about it afterwards.
struct GenerationTranscript {
  var requestID = ""
  var model = ""
  var promptTokens: [TokenID] = []
  private(set) var tokens: [GeneratedToken] = []
  private(set) var text = ""
  private(set) var finish: FinishReason?
  private(set) var usage = GenerationUsage()
  private(set) var route = GenerationRoute()
  private(set) var timeline = GenerationTimeline()
  /// By this process's clock, from sending the request.
  private(set) var firstTextSeconds: Double?
  private(set) var totalSeconds = 0.0
  private let start = ContinuousClock.now

  /// Takes an update in; returns the text that it added.
  mutating func append(_ update: GenerationUpdate) -> String {
    totalSeconds = (ContinuousClock.now - start) / .seconds(1)
    var added = ""
    for output in update.outputs {
      tokens += output.tokens
      added += output.text
      finish = output.finish ?? finish
    }
    if !added.isEmpty && firstTextSeconds == nil { firstTextSeconds = totalSeconds }
    text += added
    usage = update.usage ?? usage
    route = update.route ?? route
    timeline = update.timeline ?? timeline
    return added
  }

  /// Tokens after the first, over the time that they took.
  var tokensPerSecond: Double {
    timeline.decodeSeconds > 0 ? Double(max(0, tokens.count - 1)) / timeline.decodeSeconds : 0
  }

  /// One JSON object, keys sorted.
  func json() throws -> String {
    let encoder = JSONEncoder()
    encoder.keyEncodingStrategy = .convertToSnakeCase
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    encoder.nonConformingFloatEncodingStrategy = .convertToString(
      positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
    return String(decoding: try encoder.encode(TranscriptRecord(self)), as: UTF8.self)
  }
}
