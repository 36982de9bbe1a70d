import LoadHarness

/// The figures of one setting: the medians of its runs.
struct LoadFigures: Encodable {
  var tokensPerSecond: Double
  /// Each run's, in order.
  var tokensPerSecondOfRuns: [Double]
  var wallSeconds: Double
  var latencyP50: Double
  var latencyP99: Double
  var firstTokenP50: Double
  var firstTokenP99: Double
  /// Of all tenants but the one that sends most; nil where nobody is told apart.
  var othersFirstTokenP50: Double?
  var gapP50: Double
  var gapP99: Double
  /// The most sequences that ran at once, and the mean over the run.
  var sequencesAtOnce: Double
  var meanSequences: Double
  var mostActiveBlocks: Double
  /// Share of the places in the running sequences' blocks that held a token.
  var slotUse: Double
  var hitRate: Double
  var preemptions: Double
  var computedPromptTokens: Double
  var steps: Double
  var outputTokens: Int
  var refused: Double
  var acceptanceRate: Double?

  init(_ runs: [LoadResult]) {
    func median(_ figure: (LoadResult) -> Double) -> Double { runs.map(figure).median }
    tokensPerSecond = median(\.outputTokensPerSecond)
    tokensPerSecondOfRuns = runs.map(\.outputTokensPerSecond)
    wallSeconds = median(\.wallSeconds)
    latencyP50 = median { $0.latencies.quantile(0.5) }
    latencyP99 = median { $0.latencies.quantile(0.99) }
    firstTokenP50 = median { $0.firstTokenSeconds.quantile(0.5) }
    firstTokenP99 = median { $0.firstTokenSeconds.quantile(0.99) }
    if runs.contains(where: { !$0.othersFirstTokenSeconds.isEmpty }) {
      othersFirstTokenP50 = median { $0.othersFirstTokenSeconds.quantile(0.5) }
    }
    gapP50 = median { $0.gaps.quantile(0.5) }
    gapP99 = median { $0.gaps.quantile(0.99) }
    sequencesAtOnce = median { Double($0.mostRunning) }
    meanSequences = median(\.meanRunning)
    mostActiveBlocks = median { Double($0.mostActiveBlocks) }
    slotUse = median(\.slotUse)
    hitRate = median(\.hitRate)
    preemptions = median { Double($0.preemptions) }
    computedPromptTokens = median { Double($0.after.computedPromptTokens - $0.before.computedPromptTokens) }
    steps = median { Double($0.after.steps - $0.before.steps) }
    outputTokens = runs.first?.outputTokens ?? 0
    refused = median { Double($0.refused) }
    acceptanceRate = runs.first?.acceptanceRate
  }
}
