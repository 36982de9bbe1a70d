import Glibc

/// How long answers go on, learnt from those that ended: for each doubling of the length, the chance to end within it.
///
/// What is not known is taken to be as in a heavy tail: whatever is there already, the chance to reach twice as much is a half.
public struct AnswerLengths: Sendable {
  private static let levels = 21
  private static let decay = 0.95
  private static let priorWeight = 2.0

  private var reached = [Double](repeating: Self.priorWeight, count: Self.levels)
  private var ended = [Double](repeating: Self.priorWeight / 2, count: Self.levels)

  public init() {}

  /// Takes an answer's length in tokens.
  ///
  /// - Parameter isWhole: whether it ended by itself; otherwise it might have gone on.
  public mutating func record(_ length: Int, isWhole: Bool) {
    guard length > 0 else { return }
    let last = Self.level(length)
    for level in 0..<last { count(level, hasEnded: false) }
    if isWhole { count(last, hasEnded: true) }
  }

  private mutating func count(_ level: Int, hasEnded: Bool) {
    reached[level] = reached[level] * Self.decay + 1
    ended[level] = ended[level] * Self.decay + (hasEnded ? 1 : 0)
  }

  /// Tokens that an answer of `count` tokens will still get, on average.
  ///
  /// - Parameters:
  ///   - limit: of them at most.
  ///   - certain: length before which no answer ends.
  public func expectedRest(after count: Int, limit: Int, certain: Int = 0) -> Double {
    let end = count + max(0, limit)
    let sure = min(max(certain, count), end)
    var rest = Double(sure - count)
    var (place, survival) = (max(sure, 1), 1.0)
    while place < end, survival > 0.01 {
      let level = Self.level(place)
      let next = level == Self.levels - 1 ? end : min(end, 2 << level)
      let share = Double(next - place) / Double(1 << level)
      let goesOn = pow(1 - ended[level] / reached[level], share)
      rest += Double(next - place) * survival * (1 + goesOn) / 2
      survival *= goesOn
      place = next
    }
    return rest
  }

  private static func level(_ length: Int) -> Int {
    min(levels - 1, Int.bitWidth - 1 - max(length, 1).leadingZeroBitCount)
  }
}
