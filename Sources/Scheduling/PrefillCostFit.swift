/// What prompt tokens cost: seconds = fixed + perToken × tokens + perPair × (token, earlier token) pairs.
///
/// Least squares of the relative errors of recent steps. Where the steps are too alike to tell the three apart, what is
/// known of steps without prompt tokens, and the mean, decide. No coefficient is negative.
struct PrefillCostFit: Sendable {
  typealias Coefficients = (fixed: Double, perToken: Double, perPair: Double)

  private static let decay = 0.97
  /// How much a guess weighs against what was measured.
  private static let ridge = 1e-3

  /// Sums of products of the step's values, each divided by its seconds so that short and long steps count alike.
  private var matrix = [Double](repeating: 0, count: 9)
  private var vector = [Double](repeating: 0, count: 3)
  private var (weight, tokens, seconds) = (0.0, 0.0, 0.0)

  var isEmpty: Bool { seconds == 0 }

  mutating func observe(tokens: Double, pairs: Double, seconds: Double) {
    let row = [1 / seconds, tokens / seconds, pairs / seconds]
    for i in 0..<3 {
      for j in 0..<3 { matrix[3 * i + j] = matrix[3 * i + j] * Self.decay + row[i] * row[j] }
      vector[i] = vector[i] * Self.decay + row[i]
    }
    self.tokens = self.tokens * Self.decay + tokens
    self.seconds = self.seconds * Self.decay + seconds
    weight = weight * Self.decay + 1
  }

  /// - Parameter fixed: a guess of the fixed part.
  func coefficients(fixed: Double) -> Coefficients {
    guard tokens > 0 else { return (fixed, 0, 0) }
    let guess = [fixed, max(seconds - fixed * weight, seconds * 0.1) / tokens, 0]
    // Drops what comes out negative, and solves for the rest.
    var isFree = [true, true, true]
    for _ in 0..<3 {
      let solution = solve(isFree, guess)
      func share(_ i: Int) -> Double { solution[i] * matrix[3 * i + i].squareRoot() }
      guard let worst = (0..<3).filter({ isFree[$0] && solution[$0] < 0 }).min(by: { share($0) < share($1) })
      else {
        // A token costs something in any case.
        return (solution[0], max(solution[1], guess[1] * 0.05), solution[2])
      }
      isFree[worst] = false
    }
    return (guess[0], guess[1], guess[2])
  }

  /// Elimination over the free coefficients; the others are 0.
  private func solve(_ isFree: [Bool], _ guess: [Double]) -> [Double] {
    var (a, b) = (matrix, vector)
    for i in 0..<3 {
      if isFree[i] {
        let pull = matrix[3 * i + i] * Self.ridge
        a[3 * i + i] += pull
        b[i] += pull * guess[i]
      } else {
        for j in 0..<3 { (a[3 * i + j], a[3 * j + i]) = (0, 0) }
        a[3 * i + i] = 1
        b[i] = 0
      }
    }
    for i in 0..<3 where a[3 * i + i] > 0 {
      for j in i + 1..<3 {
        let factor = a[3 * j + i] / a[3 * i + i]
        for k in i..<3 { a[3 * j + k] -= factor * a[3 * i + k] }
        b[j] -= factor * b[i]
      }
    }
    var solution = guess
    for i in (0..<3).reversed() where a[3 * i + i] > 0 {
      var rest = b[i]
      for j in i + 1..<3 { rest -= a[3 * i + j] * solution[j] }
      solution[i] = isFree[i] ? rest / a[3 * i + i] : 0
    }
    return solution
  }
}
