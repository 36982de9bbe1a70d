import ServingTypes

/// Byte-level BPE, as GPT-2, Llama 3, Qwen and SmolLM have it.
///
/// - SeeAlso: Sennrich et al., Neural Machine Translation of Rare Words with Subword Units (2016); the byte alphabet is GPT-2's.
public final class BytePairTokenizer: Tokenizer {
  let base: TokenizerBase
  private let preTokenizer: PreTokenizer
  private let merges: MergeTable
  private let index: ByteStringIndex
  /// The token of each single byte, or -1.
  private let byteTokens: [Int32]
  /// Whether a word that is a token stays one, whatever the merges say (Llama 3).
  private let prefersWholeWords: Bool

  public init(_ vocabulary: TokenizerVocabulary) throws(ServingError) {
    let preTokenizer = try PreTokenizer(name: vocabulary.preTokenizer)
    self.preTokenizer = preTokenizer
    if case .llama3(digits: 3) = preTokenizer { prefersWholeWords = true } else { prefersWholeWords = false }
    let base = try TokenizerBase(vocabulary, addsBeginningByDefault: prefersWholeWords) { token, kind, output in
      if kind == .normal || kind == .byte {
        ByteAlphabet.decode(token, into: &output)
      } else {
        output.append(contentsOf: token)
      }
    }
    self.base = base
    // Plain text must never become a control token, so only normal ones can be found.
    let index = ByteStringIndex(base.pieces) { base.kind($0) == .normal }
    self.index = index
    byteTokens = (0..<256).map { byte in
      withUnsafePointer(to: UInt8(byte)) {
        index.find(UnsafeBufferPointer(start: $0, count: 1)).map { Int32($0) } ?? -1
      }
    }
    merges = try MergeTable(vocabulary.merges, index: index, vocabularySize: base.pieces.count)
  }

  public var vocabularySize: Int { base.pieces.count }
  public var beginningOfSequence: TokenID? { base.beginningOfSequence }
  public var endOfSequence: TokenID? { base.endOfSequence }
  public var endOfGenerationTokens: [TokenID] { base.endOfGenerationTokens }
  public func bytes(of token: TokenID) -> ArraySlice<UInt8> { base.bytes(of: token) }
  public func isControl(_ token: TokenID) -> Bool { base.isControl(token) }
  public func specialToken(_ text: String) -> TokenID? { base.specialToken(text) }

  public func encode(_ text: String, parseSpecial: Bool, addSpecial: Bool) -> [TokenID] {
    var merger = SymbolMerger()
    return base.encode(text, parseSpecial: parseSpecial, addSpecial: addSpecial) { bytes, _, output in
      preTokenizer.forEachWord(bytes) { range in
        encodeWord(UnsafeBufferPointer(rebasing: bytes[range]), &merger, &output)
      }
    }
  }

  private func encodeWord(
    _ word: UnsafeBufferPointer<UInt8>, _ merger: inout SymbolMerger, _ output: inout [TokenID]
  ) {
    if prefersWholeWords, let token = index.find(word) {
      output.append(TokenID(token))
      return
    }
    for (position, byte) in word.enumerated() {
      merger.append(SymbolMerger.Symbol(id: byteTokens[Int(byte)], start: position, end: position + 1))
    }
    merger.run(merges) { symbol in
      if symbol.id >= 0, Int(symbol.id) < vocabularySize {
        output.append(symbol.id)
      } else {
        // A merge whose result is no token; bytes that the vocabulary lacks are dropped, as the reference does.
        for byte in word[symbol.start..<symbol.end] where byteTokens[Int(byte)] >= 0 {
          output.append(byteTokens[Int(byte)])
        }
      }
    }
  }
}

/// The merges by the pair of symbols: an open-addressing hash table.
///
/// A symbol is named by its token; one that is no token gets a number from `vocabularySize` on.
private struct MergeTable: MergeRule, Sendable {
  private static let free = UInt64.max
  private var keys: [UInt64]
  /// Rank in the upper half, the merged symbol in the lower.
  private var values: [UInt64]

  init(_ merges: ByteStrings, index: ByteStringIndex, vocabularySize: Int) throws(ServingError) {
    var capacity = 16
    while capacity < merges.count * 2 { capacity *= 2 }
    keys = [UInt64](repeating: Self.free, count: capacity)
    values = [UInt64](repeating: 0, count: capacity)
    var extra: [[UInt8]: Int32] = [:]
    func symbol(_ bytes: [UInt8]) -> Int32 {
      if let token = bytes.withUnsafeBufferPointer({ index.find($0) }) { return Int32(token) }
      let next = Int32(vocabularySize + extra.count)
      return extra[bytes]
        ?? {
          extra[bytes] = next
          return next
        }()
    }
    var left: [UInt8] = []
    var right: [UInt8] = []
    for rank in 0..<merges.count {
      let merge = merges[rank]
      guard let space = merge.dropFirst().firstIndex(of: UInt8(ascii: " ")) else {
        throw ServingError(.dataLoss, "tokenizer.ggml.merges[\(rank)] has no space between its two halves")
      }
      left.removeAll(keepingCapacity: true)
      right.removeAll(keepingCapacity: true)
      ByteAlphabet.decode(merge[..<space], into: &left)
      ByteAlphabet.decode(merge[(space + 1)...], into: &right)
      let pair = UInt64(UInt32(symbol(left))) << 32 | UInt64(UInt32(symbol(right)))
      let slot = slot(of: pair)
      // Of a merge that is there twice the first counts.
      guard keys[slot] == Self.free else { continue }
      keys[slot] = pair
      values[slot] = UInt64(rank) << 32 | UInt64(UInt32(symbol(left + right)))
    }
  }

  func merge(_ left: SymbolMerger.Symbol, _ right: SymbolMerger.Symbol) -> (priority: UInt32, id: Int32)? {
    guard left.id >= 0, right.id >= 0 else { return nil }
    let slot = slot(of: UInt64(UInt32(left.id)) << 32 | UInt64(UInt32(right.id)))
    guard keys[slot] != Self.free else { return nil }
    return (UInt32(values[slot] >> 32), Int32(truncatingIfNeeded: values[slot]))
  }

  private func slot(of pair: UInt64) -> Int {
    let mask = keys.count - 1
    var slot = Int(truncatingIfNeeded: (pair &* 0x9E37_79B9_7F4A_7C15) >> 32) & mask
    while keys[slot] != Self.free, keys[slot] != pair { slot = (slot + 1) & mask }
    return slot
  }
}
