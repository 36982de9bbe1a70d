import ServingTypes

/// All substrings of a text, each with what followed it how often. Grows by one token at a time, in O(1) amortised.
///
/// A state stands for the substrings that end in the same places; the longest suffix of the text that stands elsewhere too is
/// the suffix link of the last state. Counts are kept for the longest contexts of each place only, so that a token costs no
/// more in a text that repeats itself. About 150 bytes a token.
/// - SeeAlso: Blumer et al., The smallest automaton recognizing the subwords of a text (1985).
struct SuffixAutomaton: Sendable {
  /// A context and where it stands: some of the state's strings, the longest of which has `length` tokens.
  struct Context {
    var state: Int32 = 0
    var length: Int32 = 0
  }

  private struct State {
    var length: Int32
    var link: Int32
    var firstEdge: Int32 = -1
    /// The most frequent continuation; among equals the latest.
    var bestEdge: Int32 = -1
    /// Continuations counted.
    var total: UInt32 = 0
  }

  private struct Edge {
    var source: Int32
    var token: TokenID
    var target: Int32
    var next: Int32
    var count: UInt32
  }

  /// Contexts of one place that a token is counted for, the longest first.
  private static let countedContexts = 24
  /// Shorter contexts say nothing.
  private static let shortestContext: Int32 = 2

  private var states = [State(length: 0, link: -1)]
  private var edges: [Edge] = []
  /// By the hash of (state, token): an edge's index plus one; 0 is none. Open addressing.
  private var slots = [UInt32](repeating: 0, count: 64)
  private var last: Int32 = 0
  private(set) var count = 0

  /// The longest suffix of the text that stands in it before.
  var repeatedSuffix: Context {
    let link = states[Int(last)].link
    return link < 0 ? Context() : Context(state: link, length: states[Int(link)].length)
  }

  mutating func append(_ token: TokenID) {
    count += 1
    let state = Int32(truncatingIfNeeded: states.count)
    states.append(State(length: states[Int(last)].length + 1, link: 0))
    var place = last
    last = state
    while place >= 0, find(place, token) == nil {
      add(Edge(source: place, token: token, target: state, next: -1, count: 0))
      tally(states[Int(place)].firstEdge)
      place = states[Int(place)].link
    }
    guard place >= 0, let known = find(place, token) else { return }
    let target = edges[Int(known)].target
    if states[Int(target)].length == states[Int(place)].length + 1 {
      states[Int(state)].link = target
    } else {
      let copy = split(target, length: states[Int(place)].length + 1)
      states[Int(state)].link = copy
      var source = place
      while source >= 0, let edge = find(source, token), edges[Int(edge)].target == target {
        edges[Int(edge)].target = copy
        source = states[Int(source)].link
      }
    }
    for _ in 0..<Self.countedContexts where place >= 0 {
      guard let edge = find(place, token) else { return }
      tally(edge)
      place = states[Int(place)].link
    }
  }

  /// The longest suffix of `tokens` that the text contains.
  func match(_ tokens: some Sequence<TokenID>) -> Context {
    var context = Context()
    for token in tokens {
      while context.state > 0, find(context.state, token) == nil {
        context.state = states[Int(context.state)].link
        context.length = states[Int(context.state)].length
      }
      if let edge = find(context.state, token) {
        context = Context(state: edges[Int(edge)].target, length: context.length + 1)
      }
    }
    return context
  }

  /// Appends the most frequent continuation of `context`, as far as the chance that all of it comes true stays at `leastChance`.
  ///
  /// A continuation's chance is its share of those counted, less what a context never seen before would need: the longer the
  /// context and the more often it stood, the less.
  /// - Returns: drafts that will be accepted on average.
  func propose(
    _ limit: Int, leastChance: Double, after context: Context, into drafts: inout [TokenID]
  ) -> Double {
    var (context, chance, expected) = (context, 1.0, 0.0)
    for _ in 0..<limit {
      var state = states[Int(context.state)]
      // The shorter strings of a state may have been split off since the context was found.
      while context.state > 0, state.total == 0 || context.length <= states[Int(state.link)].length {
        context.state = state.link
        state = states[Int(context.state)]
        context.length = min(context.length, state.length)
      }
      guard context.length >= Self.shortestContext, state.bestEdge >= 0 else { break }
      let edge = edges[Int(state.bestEdge)]
      let share = Double(edge.count) / Double(state.total)
      chance *= share * (1 - 1 / (Double(context.length) + Double(state.total)))
      // Negative numbers separate texts.
      guard edge.token >= 0, chance >= leastChance else { break }
      drafts.append(edge.token)
      expected += chance
      context = Context(state: edge.target, length: context.length + 1)
    }
    return expected
  }

  // MARK: States and edges

  /// A state for the target's strings of at most `length` tokens, which from now on stand in more places than the longer ones.
  private mutating func split(_ target: Int32, length: Int32) -> Int32 {
    let copy = Int32(truncatingIfNeeded: states.count)
    states.append(State(length: length, link: states[Int(target)].link))
    states[Int(target)].link = copy
    var index = states[Int(target)].firstEdge
    while index >= 0 {
      var edge = edges[Int(index)]
      let isBest = states[Int(target)].bestEdge == index
      index = edge.next
      edge.source = copy
      add(edge)
      if isBest { states[Int(copy)].bestEdge = states[Int(copy)].firstEdge }
    }
    states[Int(copy)].total = states[Int(target)].total
    return copy
  }

  private mutating func tally(_ index: Int32) {
    edges[Int(index)].count += 1
    let edge = edges[Int(index)]
    let best = states[Int(edge.source)].bestEdge
    states[Int(edge.source)].total += 1
    if best < 0 || edges[Int(best)].count <= edge.count { states[Int(edge.source)].bestEdge = index }
  }

  private mutating func add(_ edge: Edge) {
    let index = Int32(truncatingIfNeeded: edges.count)
    var edge = edge
    edge.next = states[Int(edge.source)].firstEdge
    states[Int(edge.source)].firstEdge = index
    edges.append(edge)
    if edges.count * 3 > slots.count * 2 {
      slots = [UInt32](repeating: 0, count: slots.count * 2)
      for other in edges.indices { place(other) }
    } else {
      place(Int(index))
    }
  }

  private mutating func place(_ index: Int) {
    var slot = slot(edges[index].source, edges[index].token)
    while slots[slot] != 0 { slot = (slot + 1) & (slots.count - 1) }
    slots[slot] = UInt32(truncatingIfNeeded: index + 1)
  }

  private func find(_ state: Int32, _ token: TokenID) -> Int32? {
    var slot = slot(state, token)
    while slots[slot] != 0 {
      let index = Int(slots[slot]) - 1
      if edges[index].source == state, edges[index].token == token { return Int32(truncatingIfNeeded: index) }
      slot = (slot + 1) & (slots.count - 1)
    }
    return nil
  }

  private func slot(_ state: Int32, _ token: TokenID) -> Int {
    let key = UInt64(UInt32(bitPattern: state)) << 32 | UInt64(UInt32(bitPattern: token))
    let mixed = (key ^ key >> 29) &* 0x9E37_79B9_7F4A_7C15
    return Int(truncatingIfNeeded: mixed >> 32) & (slots.count - 1)
  }
}
