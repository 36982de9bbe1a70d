/// Merges neighbouring symbols in order of priority, then from left to right: the loop that BPE and SentencePiece share.
///
/// A heap of possible merges over a linked list of symbols: O(n log n), also for one long run of the same character.
struct SymbolMerger {
  /// A piece of the text that is a token so far.
  struct Symbol {
    /// The rule's name for it; negative where it is no token.
    var id: Int32
    /// Where it lies in the text, in bytes.
    var start: Int
    var end: Int
    fileprivate var previous: Int32 = -1
    fileprivate var next: Int32 = -1

    init(id: Int32, start: Int, end: Int) {
      self.id = id
      self.start = start
      self.end = end
    }
  }

  /// A merge that was possible when it was found; its symbols may have changed since.
  private struct Candidate {
    /// Priority, then position.
    var key: UInt64
    var right: Int32
    var leftEnd: Int
    var rightEnd: Int
    var id: Int32

    var left: Int { Int(truncatingIfNeeded: key & 0xFFFF_FFFF) }
  }

  private var symbols: [Symbol] = []
  private var heap: [Candidate] = []

  /// Takes the next symbol of the text.
  mutating func append(_ symbol: Symbol) {
    var symbol = symbol
    let index = Int32(symbols.count)
    if index > 0 {
      symbol.previous = index - 1
      symbols[Int(index) - 1].next = index
    }
    symbols.append(symbol)
  }

  /// Merges what can be merged, hands the remaining symbols to `body` in order, and is empty again.
  mutating func run(_ rule: some MergeRule, _ body: (Symbol) -> Void) {
    defer {
      symbols.removeAll(keepingCapacity: true)
      heap.removeAll(keepingCapacity: true)
    }
    guard !symbols.isEmpty else { return }
    for index in 1..<max(1, symbols.count) { propose(index - 1, index, rule) }
    while let candidate = popLowest() {
      let left = candidate.left
      let right = Int(candidate.right)
      // A symbol only ever grows to the right or is swallowed (its end then no longer follows its neighbour's start).
      guard symbols[left].end == candidate.leftEnd, symbols[left].next == candidate.right,
        symbols[right].end == candidate.rightEnd
      else { continue }
      symbols[left].id = candidate.id
      symbols[left].end = symbols[right].end
      symbols[left].next = symbols[right].next
      symbols[right].end = -1
      if symbols[left].next >= 0 { symbols[Int(symbols[left].next)].previous = Int32(left) }
      if symbols[left].previous >= 0 { propose(Int(symbols[left].previous), left, rule) }
      if symbols[left].next >= 0 { propose(left, Int(symbols[left].next), rule) }
    }
    var index: Int32 = 0
    while index >= 0 {
      body(symbols[Int(index)])
      index = symbols[Int(index)].next
    }
  }

  private mutating func propose(_ left: Int, _ right: Int, _ rule: some MergeRule) {
    guard let merge = rule.merge(symbols[left], symbols[right]) else { return }
    heap.append(
      Candidate(
        key: UInt64(merge.priority) << 32 | UInt64(left), right: Int32(right), leftEnd: symbols[left].end,
        rightEnd: symbols[right].end, id: merge.id))
    var child = heap.count - 1
    while child > 0, heap[child].key < heap[(child - 1) / 2].key {
      heap.swapAt(child, (child - 1) / 2)
      child = (child - 1) / 2
    }
  }

  private mutating func popLowest() -> Candidate? {
    guard let lowest = heap.first else { return nil }
    let last = heap.removeLast()
    guard !heap.isEmpty else { return lowest }
    var parent = 0
    while true {
      var child = 2 * parent + 1
      guard child < heap.count else { break }
      if child + 1 < heap.count, heap[child + 1].key < heap[child].key { child += 1 }
      guard heap[child].key < last.key else { break }
      heap[parent] = heap[child]
      parent = child
    }
    heap[parent] = last
    return lowest
  }
}
