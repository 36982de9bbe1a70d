import Engine
import KVCache
import LoadHarness
import Logging
import ServingTypes

/// Conversations that do not fit the pool: what the tiers below it give, beside a pool that holds all, and beside none.
struct OffloadBenchmark {
  enum Tier: String, Codable, CaseIterable {
    case none = "all in memory"
    case host = "host memory"
    case file
    case recompute
  }

  struct Row: Codable {
    var tier: Tier
    var blocks: Int
    /// Of generated tokens, the median of the runs.
    var tokensPerSecond: Double
    var hitRate: Double
    var firstTokenP50: Double
    var hostHits: UInt64
    var fileHits: UInt64
    var evictionStores: UInt64
    var failures: UInt64

    var line: String {
      "\(tier.rawValue): \(blocks) blocks, \(Int(tokensPerSecond.rounded())) tokens/s, \(Int((hitRate * 100).rounded())) %"
        + " of the prompts cached, first token after \(Int((firstTokenP50 * 1000).rounded())) ms"
    }
  }

  let model: ModelSettings
  let engine: EngineSettings
  let load: ConversationLoad
  let runs: Int
  let folder: String
  let logger: Logger

  /// One run of each kind after the other; the answers must be the same.
  func run() async throws -> [Row] {
    let loaded = try LoadedModel(model, threads: engine.threads)
    var rows: [Tier: [Row]] = [:]
    var answers: [[TokenID]]?
    for _ in 0..<runs {
      for tier in Tier.allCases {
        let (row, tokens) = try await run(tier, loaded)
        if let answers, answers != tokens {
          throw ServingError(.internalError, "\(tier.rawValue) gave other answers than \(Tier.none.rawValue)")
        }
        answers = tokens
        rows[tier, default: []].append(row)
      }
    }
    return Tier.allCases.compactMap { tier in
      guard let runs = rows[tier], var row = runs.first else { return nil }
      row.tokensPerSecond = runs.map(\.tokensPerSecond).median
      row.firstTokenP50 = runs.map(\.firstTokenP50).median
      return row
    }
  }

  static func bars(_ rows: [Row]) -> [Bar] {
    let rate = Dictionary(uniqueKeysWithValues: rows.map { ($0.tier, $0.tokensPerSecond) })
    return [Tier.host, .file].flatMap { tier in
      [(Tier.none, 0.7), (.recompute, 2.0)].map { other, bar in
        Bar(
          work: "conversations in four times the pool, \(tier.rawValue)", figure: "tokens/s over \(other.rawValue)",
          ours: rate[tier] ?? 0, baseline: rate[other], .atLeast, bar: bar, unit: "tokens/s")
      }
    }
  }

  private func run(_ tier: Tier, _ loaded: LoadedModel) async throws -> (Row, [[TokenID]]) {
    var settings = engine
    let blocks = load.workingSet(blockSize: settings.blockSize)
    settings.engine.enablePrefixCaching = true
    settings.engine.enableSpecDecode = false
    settings.numBlocks = tier == .none ? blocks + blocks / 8 : blocks / 4
    settings.engine.swapSpace = tier == .host ? max(settings.engine.swapSpace, 1 << 30) : 0
    settings.engine.offloadDir = tier == .file ? folder : nil
    let core = try loaded.makeEngine(settings, logger: logger)
    core.start()
    do {
      // Brings weights and scratch into memory, and lets the engine learn what computing costs.
      let warmUp = Trace(seed: ~load.seed, requests: [TraceRequest(id: 0, promptLength: 512, outputLength: 8)])
      _ = try await LoadDriver(engine: core, trace: warmUp).run(.allAtOnce)
      let before = core.statistics
      let (requests, seconds) = try await load.run(core)
      let after = core.statistics
      try await core.checkIntegrity()
      await core.stop()
      let tokens = requests.reduce(0) { $0 + $1.tokens.count }
      let prompts = requests.reduce(0) { $0 + $1.prompt.count }
      let cached = requests.reduce(0) { $0 + $1.cachedTokens }
      let row = Row(
        tier: tier, blocks: settings.numBlocks ?? 0, tokensPerSecond: Double(tokens) / seconds,
        hitRate: Double(cached) / Double(max(1, prompts)), firstTokenP50: requests.map(\.firstTokenSeconds).median,
        hostHits: after.tiers.hostHits - before.tiers.hostHits, fileHits: after.tiers.fileHits - before.tiers.fileHits,
        evictionStores: after.tiers.evictionStores - before.tiers.evictionStores,
        failures: TierFailure.allCases.reduce(0) { $0 + after.tiers.failures($1) - before.tiers.failures($1) })
      return (row, requests.map(\.tokens))
    } catch {
      await core.stop()
      throw error
    }
  }
}
