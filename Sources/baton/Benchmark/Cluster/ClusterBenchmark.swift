import ClusterHarness
import Foundation
import LoadHarness
import ModelSimulation
import Observability
import Routing
import ServingProtos
import ServingTypes

/// The same trace put to clusters that differ in policy and workers, one after the other.
struct ClusterBenchmark: Sendable {
  var binary: String
  /// As `--simulate` takes it.
  var model: String
  var trace: Trace
  /// Seconds of the trace that do not count.
  var warmUp: Double
  var traceName: String
  var policies: [RoutingPolicy]
  var workers: [WorkerCounts]
  var goal: ClusterFigures.Goal
  /// What a decode worker computes itself.
  var localPrefillTokens: Int
  var keepsLogs: Bool
  /// Told of each row as it comes.
  var show: @Sendable (ClusterRow) -> Void = { _ in }

  private static let blockSize = 16

  func run() async throws -> [ClusterRow] {
    var rows: [ClusterRow] = []
    for counts in workers {
      for policy in policies {
        let row = try await run(policy, counts)
        show(row)
        rows.append(row)
      }
    }
    return rows
  }

  private func run(_ policy: RoutingPolicy, _ counts: WorkerCounts) async throws -> ClusterRow {
    var configuration = ClusterConfiguration(binary: binary, model: ["--simulate", model])
    (configuration.prefill, configuration.decode, configuration.keepsLogs) = (counts.prefill, counts.decode, keepsLogs)
    configuration.arguments = { role, _ in
      switch role {
      case .redis: []
      case .router: ["--routing-policy", policy.rawValue, "--local-prefill-tokens", "\(localPrefillTokens)"]
      case .prefill, .decode: ["--block-size", "\(Self.blockSize)"]
      }
    }
    return try await Cluster.run(configuration) { cluster in
      let router = cluster.routers[0]
      return try await RouterClient.with(router.grpc) { client in
        let before = (
          router: router.processorSeconds, all: Self.processorSeconds(of: cluster), now: ContinuousClock.now
        )
        let timelines = Lock<[Baton_V1_Timeline]>([])
        let load = ClusterLoad(trace: trace, source: .random(vocabularySize: 256)) { request, prompt in
          let answer = try await client.generate(Self.message(request, prompt))
          if request.arrival >= warmUp { timelines.withLock { $0.append(answer.timeline) } }
          return ClusterLoad.Answer(
            tokens: answer.tokens, arrivals: answer.arrivals, cachedTokens: Int(answer.usage.cachedTokens))
        }
        async let early = busySeconds(of: cluster, after: warmUp)
        let results = try await load.run()
        let spent = router.processorSeconds - before.router
        let all = Self.processorSeconds(of: cluster) - before.all
        let wall = before.now.duration(to: .now) / .seconds(1)
        let tokens = results.reduce(0) { $0 + $1.tokens.count }
        let busy = zip(try await busySeconds(of: cluster, after: 0), try await early).map { late, early in
          zip(late, early).map { $0 - $1 }
        }
        let metrics = try await cluster.metrics(of: router)
        return ClusterRow(
          policy: policy.rawValue, workers: counts,
          figures: ClusterFigures(
            results, warmUp: warmUp, goal: goal, blockSize: Self.blockSize, busySeconds: busy),
          routerMicrosecondsPerToken: tokens > 0 ? spent / Double(tokens) * 1e6 : 0,
          workerMegabytes: Double(cluster.workers.map(\.residentBytes).max() ?? 0) / 1e6, processors: all / wall,
          decisionMicroseconds: (metrics.mean("baton_router_decision_seconds") ?? 0) * 1e6,
          decisionP99Microseconds: (metrics.quantile(0.99, of: "baton_router_decision_seconds") ?? 0) * 1e6,
          parts: Self.parts(timelines.withLock { $0 }))
      }
    }
  }

  private static func parts(_ timelines: [Baton_V1_Timeline]) -> [String: Double] {
    let parts: [(String, (Baton_V1_Timeline) -> Double)] = [
      ("routing", { $0.routingSeconds }), ("decode queue", { $0.decodeQueueSeconds }), ("fetch", { $0.fetchSeconds }),
      ("prefill queue", { $0.prefillQueueSeconds }), ("prefill", { $0.prefillSeconds }),
      ("transfer", { $0.transferSeconds }),
    ]
    return Dictionary(uniqueKeysWithValues: parts.map { name, part in (name, timelines.map(part).median * 1000) })
  }

  private static func message(_ request: TraceRequest, _ prompt: [TokenID]) -> Baton_V1_GenerateRequest {
    .with {
      $0.tokens.ids = prompt.map { UInt32(bitPattern: $0) }
      $0.sampling.temperature = 0
      $0.sampling.maxTokens = UInt32(request.outputLength)
      $0.sampling.ignoreEos = true
      $0.cacheSalt = request.tenantName
      $0.tenant = request.tenantName
      $0.explain = true
    }
  }

  /// Time in the steps of each worker's engine since its start, by tier, after so many seconds.
  private func busySeconds(of cluster: Cluster, after seconds: Double) async throws -> [[Double]] {
    try await Task.sleep(for: .seconds(seconds))
    var tiers: [[Double]] = []
    for members in [cluster.prefill, cluster.decode] {
      var tier: [Double] = []
      for member in members {
        tier.append(try await cluster.metrics(of: member).value("baton_step_seconds_sum") ?? 0)
      }
      tiers.append(tier)
    }
    return tiers
  }

  private static func processorSeconds(of cluster: Cluster) -> Double {
    let seconds = ProcessAccount.processorSeconds(of: getpid())
    return cluster.members.reduce(seconds) { $0 + $1.processorSeconds }
  }

  // MARK: Results

  func table(_ rows: [ClusterRow]) -> TextTable {
    var table = TextTable(ClusterRow.header)
    for row in rows { table.add(row.cells) }
    return table
  }

  /// Prefix beside round robin with as many workers; a bar of each pair.
  func bars(_ rows: [ClusterRow]) -> [Bar] {
    rows.filter { $0.policy == RoutingPolicy.prefix.rawValue }.flatMap { prefix -> [Bar] in
      let turns = rows.first { $0.policy == RoutingPolicy.roundRobin.rawValue && $0.workers == prefix.workers }
      guard let turns else { return [] }
      let work = "\(traceName), \(prefix.workers) workers"
      let figures = prefix.figures
      return [
        Bar(
          work: work, figure: "TTFT p50 of round_robin over that of prefix", ours: turns.figures.firstToken.p50 * 1000,
          baseline: figures.firstToken.p50 * 1000, .atLeast, bar: 3, unit: "ms"),
        Bar(
          work: work, figure: "hit rate over a perfect cache's", ours: figures.hitRate,
          baseline: figures.perfectHitRate,
          .atLeast, bar: 0.85, unit: "share"),
        Bar(
          work: work, figure: "busiest worker over the mean", ours: figures.imbalance, baseline: nil, .atMost, bar: 1.3,
          unit: "×"),
        Bar(
          work: work, figure: "requests that succeed", ours: figures.successRate, baseline: nil, .atLeast, bar: 1,
          unit: "share"),
      ]
    }
  }

  func chart(_ rows: [ClusterRow]) -> BarChart {
    func panel(_ title: String, _ unit: String, _ value: (ClusterFigures) -> Double) -> BarChart.Panel {
      BarChart.Panel(title: title, unit: unit, values: rows.map { value($0.figures) })
    }
    return BarChart(
      title: "Routing policies: \(traceName)",
      subtitle: "simulated model \(model), \(trace.requests.count) requests, warm-up included",
      rows: rows.map { "\($0.policy) \($0.workers)" },
      panels: [
        panel("TTFT p50", "ms") { $0.firstToken.p50 * 1000 }, panel("TTFT p99", "ms") { $0.firstToken.p99 * 1000 },
        panel("ITL p99", "ms") { $0.gap.p99 * 1000 }, panel("hit rate", "%") { $0.hitRate * 100 },
        panel("busiest ÷ mean", "") { $0.imbalance }, panel("goodput", "requests/s") { $0.goodput },
      ])
  }
}
