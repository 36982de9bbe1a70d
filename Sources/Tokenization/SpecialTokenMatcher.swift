import ServingTypes

/// Finds control and user-defined tokens in text, before anything else looks at it.
///
/// A longer token goes before a shorter one wherever it stands, equally long ones from left to right, as llama.cpp does.
struct SpecialTokenMatcher: Sendable {
  /// A piece of the text: plain, or a token.
  struct Fragment {
    var range: Range<Int>
    var token: TokenID?
  }

  private struct Node {
    var byte: UInt8
    var firstChild: Int32 = -1
    var nextSibling: Int32 = -1
    /// The token that ends here, or -1, and whether it is found only where control tokens are parsed.
    var token: TokenID = -1
    var isControl = false
  }

  private var nodes: [Node] = []
  private var roots = [Int32](repeating: -1, count: 256)
  private var longest = 0

  init() {}

  /// Adds a token; of several with the same text the last counts.
  mutating func insert(_ bytes: ArraySlice<UInt8>, token: TokenID, isControl: Bool) {
    guard let first = bytes.first else { return }
    if roots[Int(first)] < 0 {
      roots[Int(first)] = Int32(nodes.count)
      nodes.append(Node(byte: first))
    }
    var node = Int(roots[Int(first)])
    for byte in bytes.dropFirst() {
      var child = nodes[node].firstChild
      while child >= 0, nodes[Int(child)].byte != byte { child = nodes[Int(child)].nextSibling }
      if child < 0 {
        child = Int32(nodes.count)
        nodes.append(Node(byte: byte, nextSibling: nodes[node].firstChild))
        nodes[node].firstChild = child
      }
      node = Int(child)
    }
    nodes[node].token = token
    nodes[node].isControl = isControl
    longest = max(longest, bytes.count)
  }

  /// The token written exactly so.
  func token(_ text: UnsafeBufferPointer<UInt8>) -> TokenID? {
    let match = longestMatch(text, at: 0, limit: text.count, parseControl: true)
    return match.length == text.count && !text.isEmpty ? match.token : nil
  }

  /// The longest token that starts at `position` and is at most `limit` bytes long; a length of 0 means none.
  private func longestMatch(
    _ text: UnsafeBufferPointer<UInt8>, at position: Int, limit: Int, parseControl: Bool
  ) -> (length: Int, token: TokenID) {
    var best = (length: 0, token: TokenID(-1))
    guard limit > 0 else { return best }
    var node = roots[Int(text[position])]
    var length = 1
    while node >= 0 {
      let current = nodes[Int(node)]
      if current.token >= 0, parseControl || !current.isControl { best = (length, current.token) }
      guard length < limit else { break }
      var child = current.firstChild
      while child >= 0, nodes[Int(child)].byte != text[position + length] { child = nodes[Int(child)].nextSibling }
      node = child
      length += 1
    }
    return best
  }

  /// Cuts the text at the tokens in it; the fragments cover all of it, in order, and none is empty.
  func fragments(of text: UnsafeBufferPointer<UInt8>, parseControl: Bool) -> [Fragment] {
    guard !text.isEmpty else { return [] }
    var candidates = [[Int]](repeating: [], count: longest + 1)
    var found = false
    for position in text.indices where roots[Int(text[position])] >= 0 {
      let match = longestMatch(text, at: position, limit: text.count - position, parseControl: parseControl)
      guard match.length > 0 else { continue }
      candidates[match.length].append(position)
      found = true
    }
    guard found else { return [Fragment(range: text.indices, token: nil)] }
    // A candidate that runs into a longer token already placed tries again with what fits before that one.
    var taken = [Bool](repeating: false, count: text.count)
    var placed: [Fragment] = []
    for length in stride(from: longest, to: 0, by: -1) {
      for position in candidates[length].sorted() where !taken[position] {
        let range = position..<position + length
        if let obstacle = range.first(where: { taken[$0] }) {
          let match = longestMatch(text, at: position, limit: obstacle - position, parseControl: parseControl)
          if match.length > 0 { candidates[match.length].append(position) }
          continue
        }
        let token = longestMatch(text, at: position, limit: length, parseControl: parseControl).token
        placed.append(Fragment(range: range, token: token))
        for index in range { taken[index] = true }
      }
      candidates[length] = []
    }
    return withPlainText(between: placed.sorted { $0.range.lowerBound < $1.range.lowerBound }, count: text.count)
  }

  private func withPlainText(between placed: [Fragment], count: Int) -> [Fragment] {
    var fragments: [Fragment] = []
    var end = 0
    for fragment in placed {
      if fragment.range.lowerBound > end {
        fragments.append(Fragment(range: end..<fragment.range.lowerBound, token: nil))
      }
      fragments.append(fragment)
      end = fragment.range.upperBound
    }
    if end < count { fragments.append(Fragment(range: end..<count, token: nil)) }
    return fragments
  }
}
