/// A time from `50ms`, `1.5s`, `2m`, `1h` or a bare number of seconds; nil when the text is none, or negative.
func parseDuration(_ text: String) -> Duration? {
  let units: [(String, Double)] = [("us", 1e-6), ("ms", 1e-3), ("s", 1), ("m", 60), ("h", 3600), ("", 1)]
  for (suffix, seconds) in units where text.hasSuffix(suffix) {
    guard let value = Double(text.dropLast(suffix.count)) else { continue }
    guard value >= 0 && value * seconds <= 1e9 else { return nil }
    return .microseconds(Int64((value * seconds * 1e6).rounded()))
  }
  return nil
}

/// The time as `parseDuration` reads it.
func durationText(_ value: Duration) -> String {
  let (seconds, attoseconds) = value.components
  let microseconds = seconds * 1_000_000 + attoseconds / 1_000_000_000_000
  if microseconds % 1_000_000 == 0 { return "\(seconds)s" }
  return microseconds % 1000 == 0 ? "\(microseconds / 1000)ms" : "\(microseconds)us"
}

/// Bytes from `512MiB`, `4GiB`, `100MB` or a bare number; nil when the text is none.
func parseByteCount(_ text: String) -> Int? {
  let units: [(String, Double)] = [
    ("KiB", 1024), ("MiB", 1_048_576), ("GiB", 1_073_741_824), ("TiB", 1_099_511_627_776), ("kB", 1e3), ("MB", 1e6),
    ("GB", 1e9), ("TB", 1e12), ("", 1),
  ]
  for (suffix, bytes) in units where text.hasSuffix(suffix) {
    guard let value = Double(text.dropLast(suffix.count)) else { continue }
    let total = value * bytes
    return total >= 0 && total < 9e18 ? Int(total) : nil
  }
  return nil
}

/// The name that was probably meant, or nil when none is near.
///
/// By edit distance (Levenshtein, 1965), at most a third of the name's length.
func nearestName(to name: String, in known: some Collection<String>) -> String? {
  let limit = max(2, name.count / 3)
  let distances = known.map { (name: $0, distance: editDistance(Array(name), Array($0))) }
  return distances.filter { $0.distance <= limit }.min { ($0.distance, $0.name) < ($1.distance, $1.name) }?.name
}

private func editDistance(_ left: [Character], _ right: [Character]) -> Int {
  var previous = Array(0...right.count)
  for (row, character) in left.enumerated() {
    var current = [row + 1]
    for (column, other) in right.enumerated() {
      let replaced = previous[column] + (character == other ? 0 : 1)
      current.append(min(replaced, previous[column + 1] + 1, current[column] + 1))
    }
    previous = current
  }
  return previous[right.count]
}
