/// Watches a growing text for stop strings and holds back what may be the beginning of one.
///
/// The match that is complete first ends the text; of several that end at once, the longest. This does not depend on how the text
/// was cut into pieces, so that a speculating worker and a plain one stop at the same place.
public struct StopStringMatcher: Sendable {
  /// What a piece of text led to.
  public enum Outcome: Hashable, Sendable {
    /// Text that no stop string can reach any more; the rest is held back.
    case text(String)
    /// The text ends here: what came before the stop string, and which one it was.
    case stopped(before: String, stopIndex: Int)
  }

  private let stops: [[UInt8]]
  /// What was held back: always the beginning of a stop string.
  private var held: [UInt8] = []

  /// Empty strings among `stops` never match.
  public init(_ stops: [String]) { self.stops = stops.map { Array($0.utf8) } }

  /// Takes the next piece of text. After `.stopped` nothing more may be given.
  public mutating func append(_ text: String) -> Outcome {
    if stops.isEmpty { return .text(text) }
    var end = held.count
    held.append(contentsOf: text.utf8)
    while end < held.count {
      end += 1
      if let stop = longestStop(endingAt: end) {
        let before = String(decoding: held[..<(end - stops[stop].count)], as: UTF8.self)
        held.removeAll()
        return .stopped(before: before, stopIndex: stop)
      }
    }
    // A stop string begins with a whole character, so the cut falls between characters.
    let certain = held.count - possibleBeginning()
    defer { held.removeFirst(certain) }
    return .text(String(decoding: held[..<certain], as: UTF8.self))
  }

  /// The text held back, when no more comes.
  public mutating func finish() -> String {
    defer { held.removeAll() }
    return String(decoding: held, as: UTF8.self)
  }

  private func longestStop(endingAt end: Int) -> Int? {
    var best: Int?
    for (index, stop) in stops.enumerated() where stop.last == held[end - 1] && stop.count <= end {
      guard held[(end - stop.count)..<end].elementsEqual(stop) else { continue }
      if best.map({ stops[$0].count < stop.count }) ?? true { best = index }
    }
    return best
  }

  /// The length of the longest end of the text that begins a stop string.
  private func possibleBeginning() -> Int {
    let longest = min(held.count, (stops.map(\.count).max() ?? 0) - 1)
    for length in stride(from: longest, to: 0, by: -1) {
      let tail = held.suffix(length)
      if stops.contains(where: { $0.count > length && $0.starts(with: tail) }) { return length }
    }
    return 0
  }
}
