/// What a step's tokens cost, by measurement, to keep steps near a target time.
///
/// A step without prompt tokens is a line over its tokens. Prompt tokens cost by `PrefillCostFit`, so that chunks shrink as
/// the context grows; how far the last steps were off corrects the level at once.
public struct StepCostModel: Sendable {
  /// Chunks before anything was measured.
  public static let initialPrefillTokens = 128
  private static let weight = 0.25

  /// What a prefill token took in recent steps, its share of their fixed part included; nil before one was measured.
  public private(set) var prefillTokenSeconds: Double?
  private var prefill = PrefillCostFit()
  /// Measured ÷ predicted, of recent steps with prompt tokens.
  private var correction = 1.0
  /// Steps without prompt tokens.
  public private(set) var decode = StepCostLine()

  public init() {}

  /// - Parameter prefillContext: for each prefill token the tokens before it, summed.
  public mutating func observe(prefillTokens: Int, prefillContext: Int = 0, decodeTokens: Int, seconds: Double) {
    guard seconds > 0 else { return }
    if prefillTokens == 0 {
      decode.observe(tokens: decodeTokens, seconds: seconds)
    } else {
      // What part of it the decode tokens took nobody knows yet.
      if decodeTokens > 0, !decode.isMeasured, !prefill.isEmpty { return }
      let (tokens, pairs) = (Double(prefillTokens), Double(prefillContext))
      let own = max(seconds - decodeSlope * Double(decodeTokens), seconds * 0.1)
      if !prefill.isEmpty {
        let cost = prefill.coefficients(fixed: decodeFixed)
        let predicted = cost.fixed + cost.perToken * tokens + cost.perPair * pairs
        correction += Self.weight * (min(4, max(0.25, own / predicted)) - correction)
      }
      prefill.observe(tokens: tokens, pairs: pairs, seconds: own)
      let average = prefillTokenSeconds ?? own / tokens
      prefillTokenSeconds = average + Self.weight * (own / tokens - average)
    }
  }

  /// Prefill tokens that fit a step of `target` seconds beside the decode tokens; 0 where none does.
  ///
  /// - Parameter context: tokens before the first of them.
  public func prefillTokens(target: Double, decodeTokens: Int, context: Int = 0) -> Int {
    guard !prefill.isEmpty else { return Self.initialPrefillTokens }
    let cost = prefill.coefficients(fixed: decodeFixed)
    // Steps that got cheaper are left to the fit: both together would overshoot.
    let left = (target - decodeSlope * Double(decodeTokens)) / max(1, correction) - cost.fixed
    guard left > 0 else { return 0 }
    // Half pairs: a chunk's tokens see each other as well, on average half of them.
    let linear = cost.perToken + cost.perPair * Double(context)
    let root = (linear * linear + 2 * cost.perPair * left).squareRoot()
    // A last bit must not cost a whole block.
    return Int(min(2 * left / (linear + root), 1e9) * (1 + 1e-9))
  }

  /// What a prefill token takes where nothing was measured: a large model on a weak machine.
  private static let slowestTokenSeconds = 0.05

  /// What a step with so many prompt tokens will take; a cautious guess where none was measured.
  ///
  /// - Parameter prefillContext: for each of them the tokens before it, summed.
  public func expectedSeconds(prefillTokens: Int, prefillContext: Int) -> Double {
    guard !prefill.isEmpty else { return Self.slowestTokenSeconds * Double(prefillTokens) }
    let cost = prefill.coefficients(fixed: decodeFixed)
    let seconds = cost.fixed + cost.perToken * Double(prefillTokens) + cost.perPair * Double(prefillContext)
    return seconds * max(1, correction)
  }

  /// A step of decode tokens alone; nil where none was seen.
  public func decodeSeconds(tokens: Int) -> Double? { decode.seconds(tokens: tokens) }

  private var decodeFixed: Double { decode.isMeasured ? decode.line.fixed : 0 }

  private var decodeSlope: Double { decode.isMeasured ? decode.line.perToken : 0 }
}
