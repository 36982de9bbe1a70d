import ServingTypes

/// Prompt lookup: finds where the last few tokens stood before, most recently, and proposes what followed there.
///
/// Longer matches go first. A hash table per n-gram length leads to the last places, so that a token costs O(n) to take and a
/// proposal O(n + drafts), however long the sequence is; eight bytes for each token and length. Where the continuation
/// reaches the sequence's end it goes on with the drafts themselves, as a repetition does.
/// - SeeAlso: Saxena, Prompt Lookup Decoding (2023); vLLM's `ngram` method.
public struct NGramProposer: DraftProposer, Sendable {
  /// Slots of each n-gram length's table at most; beyond that the chains behind them get longer.
  public static let maximumTableSize = 1 << 17
  /// Places looked at in a chain; whatever lies behind them is not found.
  private static let longestWalk = 16

  private let shortest: Int
  private let longest: Int
  private var tokens: [TokenID] = []
  /// For each n from `shortest` on: by the n-gram's hash, the index of the token after its last occurrence; 0 is none.
  private var tables: [[UInt32]]
  /// For each n: by the index of a token, the next older place in the same slot.
  private var older: [[UInt32]]
  private var tableSize: Int

  /// - Parameters:
  ///   - shortest: the least number of tokens that must agree.
  ///   - longest: the number of tokens looked up first.
  public init(shortest: Int = 2, longest: Int = 4) {
    precondition(shortest >= 1 && longest >= shortest, "n-grams of \(shortest) to \(longest) tokens are not possible")
    self.shortest = shortest
    self.longest = longest
    tableSize = 1 << 8
    tables = Array(repeating: [UInt32](repeating: 0, count: tableSize), count: longest - shortest + 1)
    older = Array(repeating: [], count: longest - shortest + 1)
  }

  public mutating func append(contentsOf newTokens: some Sequence<TokenID>) {
    for token in newTokens {
      // Only now that something follows them do the n-grams at the end have a continuation.
      record(at: tokens.count)
      tokens.append(token)
      if tokens.count > tableSize, tableSize < Self.maximumTableSize { grow() }
    }
  }

  public mutating func propose(_ limit: Int, into drafts: inout [TokenID]) {
    guard limit > 0, let start = lastContinuation() else { return }
    let firstDraft = drafts.count
    for offset in 0..<limit {
      let source = start + offset
      drafts.append(source < tokens.count ? tokens[source] : drafts[firstDraft + source - tokens.count])
    }
  }

  /// Where the tokens after the longest match begin.
  private func lastContinuation() -> Int? {
    for length in stride(from: longest, through: shortest, by: -1) where tokens.count > length {
      let row = length - shortest
      var place = Int(tables[row][slot(endingAt: tokens.count, length: length)])
      for _ in 0..<Self.longestWalk where place > 0 {
        if agrees(place, tokens.count, length) { return place }
        place = Int(older[row][place])
      }
    }
    return nil
  }

  /// Whether the same `length` tokens stand before two places.
  private func agrees(_ left: Int, _ right: Int, _ length: Int) -> Bool {
    for offset in 1...length where tokens[left - offset] != tokens[right - offset] { return false }
    return true
  }

  /// Notes the n-grams that end before index `end`, which is the number of places noted so far.
  private mutating func record(at end: Int) {
    for length in shortest...longest {
      let row = length - shortest
      guard end >= length else {
        older[row].append(0)
        continue
      }
      let slot = slot(endingAt: end, length: length)
      let last = Int(tables[row][slot])
      // The same n-gram again takes the place of its last occurrence: chains hold different ones.
      older[row].append(last > 0 && agrees(last, end, length) ? older[row][last] : UInt32(last))
      tables[row][slot] = UInt32(truncatingIfNeeded: end)
    }
  }

  private func slot(endingAt end: Int, length: Int) -> Int {
    var hash: UInt64 = 0xCBF2_9CE4_8422_2325
    for index in (end - length)..<end {
      hash = (hash ^ UInt64(UInt32(bitPattern: tokens[index]))) &* 0x9E37_79B9_7F4A_7C15
      hash ^= hash >> 29
    }
    return Int(truncatingIfNeeded: hash >> 8) & (tableSize - 1)
  }

  private mutating func grow() {
    tableSize *= 2
    for row in tables.indices {
      tables[row] = [UInt32](repeating: 0, count: tableSize)
      older[row].removeAll(keepingCapacity: true)
    }
    for end in 0..<tokens.count { record(at: end) }
  }
}
