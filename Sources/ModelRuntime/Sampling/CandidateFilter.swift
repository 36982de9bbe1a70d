import ServingTypes

/// Chooses the tokens that may be drawn at all: min-p, then top-k, then top-p, each on what the one before has left.
///
/// Probabilities are those at the request's temperature. Equal logits are ordered by token, lower first, so that the
/// choice is the same everywhere. The arrays are kept from call to call.
struct CandidateFilter {
  private(set) var candidates: [TokenID] = []

  static func isActive(_ parameters: SamplingParameters, vocabularySize: Int) -> Bool {
    parameters.topP < 1 || parameters.minP > 0 || (parameters.topK > 0 && parameters.topK < vocabularySize)
  }

  /// Fills `candidates`; `maximum` is the largest logit.
  mutating func apply(_ parameters: SamplingParameters, logits: UnsafeBufferPointer<Float>, maximum: Float) {
    let temperature = Double(parameters.temperature)
    let best = Double(maximum)
    // p ≥ minP · p(best) as a bound on the logit.
    let floor =
      parameters.minP > 0 ? best + temperature * PortableMath.log(Double(parameters.minP)) : -Double.infinity
    let weight: (TokenID) -> Double = { PortableMath.exp((Double(logits[Int($0)]) - best) / temperature) }
    if parameters.topK > 0, parameters.topK < logits.count {
      keepLargest(parameters.topK, logits, floor)
      guard parameters.topP < 1 else { return }
      sortDescending(logits)
      let total = candidates.reduce(0) { $0 + weight($1) }
      _ = cut(atMass: Double(parameters.topP) * total, weight)
      return
    }
    guard parameters.topP < 1 else {
      collect(logits, atLeast: floor)
      return
    }
    let wanted = Double(parameters.topP) * Self.mass(logits, atLeast: floor, best, temperature)
    // Only the likeliest tokens are sorted: those within a distance of the best that grows until it is enough.
    var distance = 2.0
    while true {
      let bound = best - distance * temperature
      collect(logits, atLeast: max(floor, bound))
      // What weighs nothing is no candidate.
      let isAll = bound <= floor || distance > Self.negligible
      if isAll || candidates.reduce(0, { $0 + weight($1) }) >= wanted {
        sortDescending(logits)
        if cut(atMass: wanted, weight) || isAll { return }
      }
      distance *= 2
    }
  }

  /// 260,000 tokens this far below the best one, in units of the temperature, together weigh less than 1e-14 of it.
  private static let negligible = 45.0

  /// The sum of all weights at or above `floor`, ascending by token.
  private static func mass(
    _ logits: UnsafeBufferPointer<Float>, atLeast floor: Double, _ best: Double, _ temperature: Double
  ) -> Double {
    let bound = max(floor, best - negligible * temperature)
    var sum = 0.0
    for logit in logits where Double(logit) >= bound { sum += PortableMath.exp((Double(logit) - best) / temperature) }
    return sum
  }

  /// All tokens that are not suppressed and whose logit is `floor` or more, ascending.
  private mutating func collect(_ logits: UnsafeBufferPointer<Float>, atLeast floor: Double) {
    candidates.removeAll(keepingCapacity: true)
    for index in 0..<logits.count where Double(logits[index]) >= floor && logits[index] > -.infinity {
      candidates.append(TokenID(truncatingIfNeeded: index))
    }
  }

  private static func precedes(_ left: TokenID, _ right: TokenID, _ logits: UnsafeBufferPointer<Float>) -> Bool {
    let (a, b) = (logits[Int(left)], logits[Int(right)])
    return a > b || (a == b && left < right)
  }

  private mutating func sortDescending(_ logits: UnsafeBufferPointer<Float>) {
    candidates.sort { Self.precedes($0, $1, logits) }
  }

  /// Drops what comes after the token at which the mass reaches `wanted`; false where it never does.
  private mutating func cut(atMass wanted: Double, _ weight: (TokenID) -> Double) -> Bool {
    var mass = 0.0
    for (index, token) in candidates.enumerated() {
      mass += weight(token)
      if mass >= wanted {
        candidates.removeSubrange((index + 1)...)
        return true
      }
    }
    return false
  }

  /// The `count` largest at or above `floor`: a heap whose root is the least of those kept.
  private mutating func keepLargest(_ count: Int, _ logits: UnsafeBufferPointer<Float>, _ floor: Double) {
    candidates.removeAll(keepingCapacity: true)
    for index in 0..<logits.count {
      let logit = logits[index]
      if candidates.count == count {
        // A later token with an equal logit comes after the ones kept.
        if logit <= logits[Int(candidates[0])] { continue }
      } else if logit == -.infinity {
        continue
      }
      guard Double(logit) >= floor else { continue }
      let token = TokenID(truncatingIfNeeded: index)
      if candidates.count < count {
        candidates.append(token)
        siftUp(logits)
      } else {
        candidates[0] = token
        siftDown(logits)
      }
    }
  }

  private mutating func siftUp(_ logits: UnsafeBufferPointer<Float>) {
    var child = candidates.count - 1
    while child > 0, Self.precedes(candidates[(child - 1) / 2], candidates[child], logits) {
      candidates.swapAt(child, (child - 1) / 2)
      child = (child - 1) / 2
    }
  }

  private mutating func siftDown(_ logits: UnsafeBufferPointer<Float>) {
    var parent = 0
    while true {
      var child = 2 * parent + 1
      guard child < candidates.count else { return }
      if child + 1 < candidates.count, Self.precedes(candidates[child], candidates[child + 1], logits) { child += 1 }
      guard Self.precedes(candidates[parent], candidates[child], logits) else { return }
      candidates.swapAt(parent, child)
      parent = child
    }
  }

  /// The `count` largest logits, largest first.
  mutating func largest(_ count: Int, _ logits: UnsafeBufferPointer<Float>) -> [TokenID] {
    guard count > 0 else { return [] }
    keepLargest(min(count, logits.count), logits, -.infinity)
    sortDescending(logits)
    return candidates
  }
}
