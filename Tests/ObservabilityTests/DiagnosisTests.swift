import Foundation
import Observability
import Testing

/// Each rule: what sets it off, and what comes near and must not.
@Suite struct DiagnosisTests {
  struct Case: Sendable, CustomStringConvertible {
    var pitfall: Pitfall
    /// Nil is one reading alone.
    var before: String? = ""
    var after: String
    var isFound = true

    var description: String { "\(pitfall.rawValue) \(isFound ? "in" : "not in") \(after.prefix(60))" }
  }

  private static func found(_ case: Case) throws -> [Diagnosis] {
    let window = MetricsWindow(
      from: try `case`.before.map { try MetricsSnapshot(parsing: prefixed($0)) },
      to: try MetricsSnapshot(parsing: prefixed(`case`.after)))
    return Diagnosis.findings(in: window)
  }

  /// The cases leave the prefix of every name out.
  private static func prefixed(_ text: String) -> String {
    text.split(separator: ";").map { "baton_" + $0.drop { $0 == " " } }.joined(separator: "\n")
  }

  /// A histogram's buckets from counts that are not cumulated.
  private static func histogram(_ name: String, _ counts: [(String, Int)]) -> String {
    var total = 0
    return counts.map { bound, count in
      total += count
      return "\(name)_bucket{le=\"\(bound)\"} \(total)"
    }.joined(separator: "; ")
  }

  private static let reuse = "prompt_tokens_total 5000; cached_prompt_tokens_total 100"
  private static let waiting = "scheduler_pending 3; memory_usage 0.4; scheduler_max_num_seqs 32"

  static let cases: [Case] = [
    Case(pitfall: .lowReuse, after: reuse, isFound: false),
    Case(
      pitfall: .lowReuse,
      after: reuse + "; router_prompt_blocks_total 300; router_predicted_cached_blocks_total 150"),
    Case(
      pitfall: .lowReuse, after: reuse + "; router_prompt_blocks_total 300; router_predicted_cached_blocks_total 10",
      isFound: false),
    Case(pitfall: .lowReuse, after: reuse + "; single_flight_waits_total 10; engine_requests_accepted_total 20"),
    Case(
      pitfall: .lowReuse, after: reuse + "; single_flight_waits_total 4; engine_requests_accepted_total 100",
      isFound: false),
    Case(pitfall: .lowReuse, after: reuse + "; evictions_total 700; kv_blocks 500"),
    Case(
      pitfall: .lowReuse,
      after: "prompt_tokens_total 5000; cached_prompt_tokens_total 2500; evictions_total 700; kv_blocks 500",
      isFound: false),
    // Nothing of it happened in the window.
    Case(
      pitfall: .lowReuse, before: reuse + "; evictions_total 700",
      after: reuse + "; evictions_total 700; kv_blocks 500",
      isFound: false),

    Case(pitfall: .memoryFull, before: "memory_usage 0.97", after: "memory_usage 0.99"),
    Case(pitfall: .memoryFull, before: "memory_usage 0.5", after: "memory_usage 0.99", isFound: false),
    Case(pitfall: .memoryFull, before: nil, after: "memory_usage 0.99"),

    Case(pitfall: .memorySwings, before: "memory_usage 0.9", after: "memory_usage 0.2"),
    Case(pitfall: .memorySwings, before: "memory_usage 0.5", after: "memory_usage 0.3", isFound: false),
    Case(pitfall: .memorySwings, before: "evictions_total 10", after: "evictions_total 600; kv_blocks 500"),
    Case(pitfall: .memorySwings, before: nil, after: "evictions_total 600; kv_blocks 500", isFound: false),

    Case(
      pitfall: .fragmentation, before: "kv_fragmentation 0.4; scheduler_running 5",
      after: "kv_fragmentation 0.5; scheduler_running 8"),
    Case(
      pitfall: .fragmentation, before: "kv_fragmentation 0.1; scheduler_running 5",
      after: "kv_fragmentation 0.5; scheduler_running 8", isFound: false),
    Case(
      pitfall: .fragmentation, before: nil, after: "kv_fragmentation 0.9; scheduler_running 1", isFound: false),

    Case(pitfall: .copyOnWriteStorm, after: "copy_on_write_copies_total 64; generated_tokens_total 300"),
    Case(
      pitfall: .copyOnWriteStorm, after: "copy_on_write_copies_total 64; generated_tokens_total 3000", isFound: false),
    Case(pitfall: .copyOnWriteStorm, after: "copy_on_write_copies_total 8; generated_tokens_total 8", isFound: false),

    Case(
      pitfall: .preemptions, before: "preemptions_total 5; engine_requests_accepted_total 10",
      after: "preemptions_total 9; engine_requests_accepted_total 40"),
    Case(
      pitfall: .preemptions, before: "preemptions_total 9; engine_requests_accepted_total 10",
      after: "preemptions_total 9; engine_requests_accepted_total 40", isFound: false),
    // A restart in between: the counter begins again.
    Case(
      pitfall: .preemptions, before: "preemptions_total 900; engine_requests_accepted_total 1000",
      after: "preemptions_total 4; engine_requests_accepted_total 8"),

    Case(pitfall: .queueGrows, before: "scheduler_pending 5", after: "scheduler_pending 20"),
    Case(pitfall: .queueGrows, before: "scheduler_pending 20", after: "scheduler_pending 18", isFound: false),
    Case(pitfall: .queueGrows, before: nil, after: "scheduler_pending 20", isFound: false),
    Case(
      pitfall: .queueGrows, before: nil,
      after: "scheduler_pending 20; " + histogram("queue_wait_seconds", [("1", 5), ("10", 5), ("30", 30), ("+Inf", 0)])),

    Case(pitfall: .requestsRefused, before: "http_requests_refused_total 1", after: "http_requests_refused_total 2"),
    Case(pitfall: .requestsRefused, after: "router_refusals_total 3"),
    Case(
      pitfall: .requestsRefused, before: "router_refusals_total 3", after: "router_refusals_total 3", isFound: false),

    Case(
      pitfall: .batchCapped, before: waiting + "; scheduler_running 32", after: waiting + "; scheduler_running 32"),
    Case(
      pitfall: .batchCapped, before: "scheduler_pending 0", after: waiting + "; scheduler_running 32", isFound: false),
    Case(
      pitfall: .batchCapped, before: nil,
      after: "scheduler_pending 3; memory_usage 0.9; scheduler_max_num_seqs 32; scheduler_running 32", isFound: false),
    Case(
      pitfall: .batchDoesNotFill, before: waiting + "; scheduler_running 5", after: waiting + "; scheduler_running 6"),
    Case(
      pitfall: .batchDoesNotFill, before: waiting + "; scheduler_running 5", after: waiting + "; scheduler_running 30",
      isFound: false),

    Case(
      pitfall: .jitter,
      after: histogram("inter_token_latency_seconds", [("0.01", 150), ("0.02", 40), ("0.2", 10), ("+Inf", 0)])),
    Case(
      pitfall: .jitter,
      after: histogram("inter_token_latency_seconds", [("0.01", 150), ("0.02", 50), ("0.2", 0), ("+Inf", 0)]),
      isFound: false),
    // Too few to tell, and buckets that lie too near.
    Case(
      pitfall: .jitter, after: histogram("inter_token_latency_seconds", [("0.01", 15), ("0.2", 1), ("+Inf", 0)]),
      isFound: false),
    Case(
      pitfall: .jitter,
      after: histogram("inter_token_latency_seconds", [("0.01", 900), ("0.1", 100), ("+Inf", 0)]), isFound: false),

    Case(
      pitfall: .lowAcceptance,
      after: "drafted_tokens_total{method=\"ngram\"} 500; accepted_tokens_total{method=\"ngram\"} 50;"
        + "generated_tokens_total 900"),
    Case(
      pitfall: .lowAcceptance, after: "drafted_tokens_total 500; accepted_tokens_total 400; generated_tokens_total 900",
      isFound: false),
    Case(
      pitfall: .lowAcceptance, after: "drafted_tokens_total 500; accepted_tokens_total 50; generated_tokens_total 9000",
      isFound: false),

    Case(pitfall: .draftModelShortages, after: "draft_model_shortages_total 40; generated_tokens_total 300"),
    Case(
      pitfall: .draftModelShortages, after: "draft_model_shortages_total 40; generated_tokens_total 3000",
      isFound: false),
    Case(
      pitfall: .draftModelShortages, after: "draft_model_shortages_total 5; generated_tokens_total 10", isFound: false),
    Case(
      pitfall: .tierFailures, before: "kv_tier_failures_total{reason=\"full\"} 3",
      after: "kv_tier_failures_total{reason=\"full\"} 5; kv_tier_failures_total{reason=\"slow\"} 2"),
    Case(
      pitfall: .tierFailures, before: "kv_tier_failures_total{reason=\"corrupt\"} 30",
      after: "kv_tier_failures_total{reason=\"corrupt\"} 33", isFound: false),

    Case(pitfall: .directoryErrors, before: nil, after: "directory_connected 0"),
    Case(
      pitfall: .directoryErrors, before: "directory_connected 1; directory_errors_total 4",
      after: "directory_connected 1; directory_errors_total 5"),
    Case(
      pitfall: .directoryErrors, before: nil, after: "directory_connected 1; directory_errors_total 5", isFound: false),
    Case(pitfall: .directoryStale, after: "directory_staleness_seconds 45"),
    Case(pitfall: .directoryStale, after: "directory_staleness_seconds 2", isFound: false),
    Case(
      pitfall: .directorySlow,
      after: histogram("directory_lookup_seconds", [("0.005", 10), ("0.05", 5), ("0.1", 15), ("+Inf", 0)])),
    Case(
      pitfall: .directorySlow,
      after: histogram("directory_lookup_seconds", [("0.005", 30), ("0.05", 1), ("0.1", 0), ("+Inf", 0)]),
      isFound: false),

    Case(
      pitfall: .handoffFallbacks,
      after: "handoff_fallbacks_total 5; transfers_total{direction=\"received\",outcome=\"completed\"} 20"),
    Case(
      pitfall: .handoffFallbacks,
      after: "handoff_fallbacks_total 5; transfers_total{direction=\"received\",outcome=\"completed\"} 2000",
      isFound: false),
    Case(
      pitfall: .handoffsFail,
      after: "transfers_total{direction=\"sent\",outcome=\"failed\"} 4;"
        + "transfers_total{direction=\"sent\",outcome=\"completed\"} 20"),
    Case(
      pitfall: .handoffsFail,
      after: "transfers_total{direction=\"sent\",outcome=\"failed\"} 4;"
        + "transfers_total{direction=\"sent\",outcome=\"completed\"} 2000", isFound: false),
    Case(pitfall: .lostStreams, after: "router_lost_streams_total 1"),
    Case(
      pitfall: .lostStreams, before: "router_lost_streams_total 1", after: "router_lost_streams_total 1", isFound: false
    ),
  ]

  @Test(arguments: cases) func ruleDecides(_ case: Case) throws {
    let found = try Self.found(`case`).first { $0.pitfall == `case`.pitfall }
    #expect((found != nil) == `case`.isFound, "\(`case`.after)")
    if let found {
      #expect(!found.evidence.isEmpty)
      #expect(found.evidence.allSatisfy { $0.value.isFinite })
    }
  }

  @Test func eachPitfallIsTested() {
    for pitfall in Pitfall.allCases {
      #expect(Self.cases.contains { $0.pitfall == pitfall && $0.isFound }, "\(pitfall)")
      #expect(Self.cases.contains { $0.pitfall == pitfall && !$0.isFound }, "\(pitfall)")
    }
  }

  @Test func nothingIsFoundInNothing() throws {
    #expect(try Self.found(Case(pitfall: .jitter, before: nil, after: "")).isEmpty)
    let idle = DiagnosisMetric.allCases.filter { $0 != .directoryConnected }.map { $0.name.dropFirst(6) + " 0" }
      .joined(separator: "; ")
    #expect(try Self.found(Case(pitfall: .jitter, before: nil, after: idle)).isEmpty)
    #expect(try Self.found(Case(pitfall: .jitter, before: idle, after: idle)).isEmpty)
  }

  @Test func evidenceIsTheWindowsNotTheProcesss() throws {
    let found = try Self.found(
      Case(
        pitfall: .copyOnWriteStorm, before: "copy_on_write_copies_total 1000; generated_tokens_total 1000",
        after: "copy_on_write_copies_total 1100; generated_tokens_total 1200"))
    #expect(found.count == 1)
    #expect(found.first?.evidence.map(\.value) == [100, 200])
  }

  @Test func quantilesAreInterpolated() throws {
    let found = try Self.found(
      Case(
        pitfall: .jitter,
        after: Self.histogram(
          "inter_token_latency_seconds", [("0.01", 100), ("0.02", 80), ("0.1", 0), ("0.2", 20), ("+Inf", 0)])))
    let jitter = try #require(found.first { $0.pitfall == .jitter })
    #expect(jitter.evidence.map(\.name) == ["inter_token_p50_seconds", "inter_token_p99_seconds"])
    #expect(jitter.evidence[0].value == 0.01)
    #expect(abs(jitter.evidence[1].value - 0.19) < 1e-9)
  }

  // MARK: Against the sources

  private static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent()

  private static func text(of folders: [String]) -> String {
    folders.flatMap { folder -> [String] in
      let start = root.appending(path: folder)
      let walk = FileManager.default.enumerator(at: start, includingPropertiesForKeys: nil)
      return (walk?.compactMap { $0 as? URL } ?? []).filter { $0.pathExtension == "swift" }
        .compactMap { try? String(contentsOf: $0, encoding: .utf8) }
    }.joined()
  }

  @Test func eachMetricIsExported() {
    let sources = Self.text(of: ["Sources/Directory", "Sources/DecodeServer", "Sources/Routing", "Sources/OpenAIAPI"])
    for metric in DiagnosisMetric.allCases {
      #expect(sources.contains("\"\(metric.rawValue)\", help:"), "nobody exports \(metric.name)")
    }
  }

  @Test func eachParameterExistsAndIsNamed() {
    let sources = Self.text(of: ["Sources/baton/Configuration"])
    for pitfall in Pitfall.allCases {
      #expect(!pitfall.parameters.isEmpty)
      for parameter in pitfall.parameters {
        #expect(sources.contains("\"\(parameter)\""), "nobody reads \(parameter)")
        #expect(pitfall.advice.contains(parameter), "\(pitfall): the advice does not name \(parameter)")
      }
    }
  }
}
