/// What a step's tokens cost, by measurement, to keep steps near a target time.
///
/// The chunk for the target follows by the secant: tokens × target ÷ measured time. A fixed share of a step's time makes
/// small chunks look dear, so repeated use approaches the target from below.
public struct StepCostModel: Sendable {
  /// Chunks before anything was measured.
  public static let initialPrefillTokens = 128
  private static let weight = 0.25

  private var secondsPerDecodeToken: Double?
  private var secondsPerPrefillToken: Double?
  /// Moments of tokens and seconds over recent steps without prefill, older ones counting less.
  private var moments = (weight: 0.0, tokens: 0.0, seconds: 0.0, tokensSquared: 0.0, product: 0.0)

  public init() {}

  public mutating func observe(prefillTokens: Int, decodeTokens: Int, seconds: Double) {
    guard seconds > 0 else { return }
    if prefillTokens == 0 {
      guard decodeTokens > 0 else { return }
      Self.blend(&secondsPerDecodeToken, seconds / Double(decodeTokens))
      let (tokens, decay) = (Double(decodeTokens), 0.98)
      moments.weight = moments.weight * decay + 1
      moments.tokens = moments.tokens * decay + tokens
      moments.seconds = moments.seconds * decay + seconds
      moments.tokensSquared = moments.tokensSquared * decay + tokens * tokens
      moments.product = moments.product * decay + tokens * seconds
    } else {
      let decoding = Double(decodeTokens) * (secondsPerDecodeToken ?? 0)
      Self.blend(&secondsPerPrefillToken, max(seconds - decoding, seconds * 0.1) / Double(prefillTokens))
    }
  }

  /// What a prefill token takes; nil before one was measured.
  public var prefillTokenSeconds: Double? { secondsPerPrefillToken }

  /// Prefill tokens that fit a step of `target` seconds beside the decode tokens; may be 0 or less.
  public func prefillTokens(target: Double, decodeTokens: Int) -> Int {
    guard let secondsPerPrefillToken else { return Self.initialPrefillTokens }
    let left = target - Double(decodeTokens) * (secondsPerDecodeToken ?? 0)
    return Int(max(0, min(left / secondsPerPrefillToken, 1e9)))
  }

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

  private static func blend(_ average: inout Double?, _ value: Double) {
    average = average.map { $0 + weight * (value - $0) } ?? value
  }
}
