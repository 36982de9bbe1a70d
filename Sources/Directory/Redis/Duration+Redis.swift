extension Duration {
  /// At least 1.
  var wholeMilliseconds: Int {
    let (seconds, attoseconds) = components
    return max(1, Int(seconds) * 1000 + Int(attoseconds / 1_000_000_000_000_000))
  }

  /// Rounded up, at least 1.
  var wholeSeconds: Int { max(1, (wholeMilliseconds + 999) / 1000) }

  var inSeconds: Double {
    let (seconds, attoseconds) = components
    return Double(seconds) + Double(attoseconds) * 1e-18
  }
}
