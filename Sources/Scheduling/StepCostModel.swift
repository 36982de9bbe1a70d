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
  /// Moments of tokens and seconds over recent steps without prefill, older ones counting less.
  private var moments = (weight: 0.0, tokens: 0.0, seconds: 0.0, tokensSquared: 0.0, product: 0.0)

  public init() {}

  /// - Parameter prefillContext: for each prefill token the tokens before it, summed.
  public mutating func observe(prefillTokens: Int, prefillContext: Int = 0, decodeTokens: Int, seconds: Double) {
    guard seconds > 0 else { return }
    if prefillTokens == 0 {
      guard decodeTokens > 0 else { return }
      let (tokens, decay) = (Double(decodeTokens), 0.98)
      moments.weight = moments.weight * decay + 1
      moments.tokens = moments.tokens * decay + tokens
      moments.seconds = moments.seconds * decay + seconds
      moments.tokensSquared = moments.tokensSquared * decay + tokens * tokens
      moments.product = moments.product * decay + tokens * seconds
    } else {
      // What part of it the decode tokens took nobody knows yet.
      if decodeTokens > 0, moments.weight == 0, !prefill.isEmpty { return }
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

  /// A step of decode tokens alone; nil where none was seen.
  public func decodeSeconds(tokens: Int) -> Double? {
    guard moments.weight > 0 else { return nil }
    let line = decodeLine
    return line.fixed + line.perToken * Double(tokens)
  }

  private var decodeFixed: Double { moments.weight > 0 ? decodeLine.fixed : 0 }

  private var decodeSlope: Double { moments.weight > 0 ? decodeLine.perToken : 0 }

  /// A step without prefill as a line: seconds = fixed + perToken × tokens. A guess until steps of several sizes were seen.
  public var decodeLine: (fixed: Double, perToken: Double) {
    guard moments.weight > 0 else { return (1, Self.initialSlope) }
    let (tokens, seconds) = (moments.tokens / moments.weight, moments.seconds / moments.weight)
    let variance = moments.tokensSquared / moments.weight - tokens * tokens
    guard variance > 0.05, moments.weight > 4 else {
      let fixed = seconds / (1 + Self.initialSlope * tokens)
      return (fixed, fixed * Self.initialSlope)
    }
    let slope = max(0, (moments.product / moments.weight - tokens * seconds) / variance)
    return (max(0, seconds - slope * tokens), slope)
  }

  /// What a token costs relative to a step's fixed part, where nothing is known: decoding is bound by reading weights.
  private static let initialSlope = 0.1
}
