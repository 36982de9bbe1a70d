/// Seconds that a call takes, from repeated samples.
struct Timing {
  var best: Double
  var median: Double
  var samples: Int

  /// Repeats `body` for about `seconds`: samples of at least a millisecond, three unless one alone takes as long.
  static func measure(seconds: Double = 0.1, _ body: () -> Void) -> Timing {
    let first = elapsed(body)
    if first > seconds { return Timing(best: first, median: first, samples: 1) }
    let calls = max(1, Int(0.001 / max(first, 1e-9)))
    var samples: [Double] = []
    let end = ContinuousClock.now + .seconds(seconds)
    while samples.count < 3 || (ContinuousClock.now < end && samples.count < 10_000) {
      samples.append(elapsed { for _ in 0..<calls { body() } } / Double(calls))
    }
    samples.sort()
    return Timing(best: samples[0], median: samples[samples.count / 2], samples: samples.count)
  }

  private static func elapsed(_ body: () -> Void) -> Double {
    let start = ContinuousClock.now
    body()
    return (ContinuousClock.now - start) / .seconds(1)
  }
}
