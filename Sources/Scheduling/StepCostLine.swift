/// What a step of so many tokens takes, by measurement: seconds = fixed + perToken × tokens.
///
/// Steps are averaged by size, and the line goes through the averages. What was learnt of a size is kept while others are run, and
/// fades with the steps since, so that an estimate that stopped all drafts is given up again some day.
public struct StepCostLine: Sendable {
  /// The steps of about one size.
  private struct Average {
    var weight = 0.0
    var tokens = 0.0
    var seconds = 0.0
    /// Near their median. Contexts that grow move it, but hardly a machine that is slow for some seconds.
    var typical = 0.0
    /// Of this size, ever.
    var count = 0
  }

  /// A token's share of a step's fixed part where nothing is known, and at least: its sampling alone takes some time.
  private static let initialShare = 0.1
  private static let leastShare = 0.01
  private static let fading = 0.995
  private static let fullWeight = 10.0
  /// How far one step moves what is typical: far while so few of its size were run, and down where their average is that much
  /// less, since what disturbs steps only makes them longer; otherwise little.
  private static let (farStride, stride) = (0.1, 0.0075)
  private static let fewSteps = 10
  private static let fallen = 0.85
  /// From so many steps of one size on, their average says more than the line.
  private static let enoughWeight = 4.0
  /// A step that took so many times as long as usual was disturbed.
  private static let outlier = 3.0

  private var averages = [Average](repeating: Average(), count: 41)

  public init() {}

  /// False until a step was measured; the line is in arbitrary units until then.
  public var isMeasured: Bool { averages.contains { $0.weight > 0 } }

  public mutating func observe(tokens: Int, seconds: Double) {
    guard tokens > 0, seconds > 0 else { return }
    for index in averages.indices { averages[index].weight *= Self.fading }
    let index = Self.index(tokens)
    var average = averages[index]
    let bounded = average.weight > 1 ? min(seconds, average.seconds * Self.outlier) : seconds
    average.weight = min(average.weight + 1, Self.fullWeight)
    average.tokens += (Double(tokens) - average.tokens) / average.weight
    average.seconds += (bounded - average.seconds) / average.weight
    average.count += 1
    let isFar = average.count <= Self.fewSteps || average.seconds < average.typical * Self.fallen
    let reach = average.typical * (isFar ? Self.farStride : Self.stride)
    average.typical =
      average.typical == 0 ? seconds : average.typical + min(reach, max(-reach, seconds - average.typical))
    averages[index] = average
  }

  public var line: (fixed: Double, perToken: Double) {
    var (weight, tokens, seconds, squares, products) = (0.0, 0.0, 0.0, 0.0, 0.0)
    for average in averages {
      weight += average.weight
      tokens += average.weight * average.tokens
      seconds += average.weight * average.seconds
      squares += average.weight * average.tokens * average.tokens
      products += average.weight * average.tokens * average.seconds
    }
    guard weight > 0 else { return (1, Self.initialShare) }
    tokens /= weight
    seconds /= weight
    let variance = squares / weight - tokens * tokens
    var slope: Double?
    if variance > 0.05 { slope = (products / weight - tokens * seconds) / variance }
    func share(_ share: Double) -> (Double, Double) {
      let fixed = seconds / (1 + share * tokens)
      return (fixed, fixed * share)
    }
    guard let slope else { return share(Self.initialShare) }
    let fixed = seconds - slope * tokens
    if slope < fixed * Self.leastShare { return share(Self.leastShare) }
    return (max(fixed, 0), slope)
  }

  /// A step of so many tokens: as steps of that size typically were lately, or by the line.
  func seconds(tokens: Int) -> Double? {
    guard isMeasured else { return nil }
    let (line, average) = (line, averages[Self.index(max(tokens, 1))])
    guard average.weight > Self.enoughWeight else { return line.fixed + line.perToken * Double(tokens) }
    return average.typical + line.perToken * (Double(tokens) - average.tokens)
  }

  /// One average for each size up to 16, four for each doubling beyond.
  private static func index(_ tokens: Int) -> Int {
    guard tokens > 16 else { return tokens }
    let doublings = Int.bitWidth - 1 - (tokens >> 4).leadingZeroBitCount
    return min(40, 17 + doublings * 4 + (tokens >> (doublings + 2)) & 3)
  }
}
