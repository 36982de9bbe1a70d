import Engine
import ServingTypes

/// What became of one request of a trace, by the clock of the client that sent it.
public struct RequestResult: Sendable {
  public var request: TraceRequest
  /// What was sent: history, prefix and own tokens.
  public var prompt: [TokenID]
  public var tokens: [TokenID]
  /// Seconds from the run's start to its submission.
  public var submitted: Double
  /// Seconds from the run's start to each token; tokens that came together have the same time.
  public var arrivals: [Double]
  /// The engine's own account.
  public var summary: GenerationSummary

  /// Seconds from the submission to the first token.
  public var firstTokenSeconds: Double { (arrivals.first ?? submitted) - submitted }

  /// Seconds from the submission to the last token.
  public var latency: Double { (arrivals.last ?? submitted) - submitted }

  /// Seconds between each token and the one before.
  public var gaps: [Double] { zip(arrivals.dropFirst(), arrivals).map { $0 - $1 } }

  public var cachedTokens: Int { summary.cachedTokens }
}
