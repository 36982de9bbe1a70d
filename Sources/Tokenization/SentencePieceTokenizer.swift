import ServingTypes

/// SentencePiece with scores, as Llama 2 and Gemma have it: the highest-scoring merge first, bytes for what is no token.
///
/// - SeeAlso: Kudo and Richardson, SentencePiece (2018).
public final class SentencePieceTokenizer: Tokenizer {
  let base: TokenizerBase
  private let rule: ScoreRule
  /// The token of each single byte, or -1.
  private let byteTokens: [Int32]
  private let addsSpacePrefix: Bool
  private let unknown: TokenID?

  public init(_ vocabulary: TokenizerVocabulary) throws(ServingError) {
    let base = try TokenizerBase(vocabulary, addsBeginningByDefault: true) { token, kind, output in
      switch kind {
      case .normal, .unused: Self.unescape(token, into: &output)
      case .byte: output.append(contentsOf: Self.byte(token).map { [$0] } ?? Array(token))
      case .control, .unknown, .userDefined: output.append(contentsOf: token)
      }
    }
    self.base = base
    guard vocabulary.scores.count == vocabulary.tokens.count else {
      throw ServingError(
        .dataLoss, "the vocabulary has \(vocabulary.tokens.count) tokens, but \(vocabulary.scores.count) scores")
    }
    if let bad = vocabulary.scores.firstIndex(where: { $0.isNaN }) {
      throw ServingError(.dataLoss, "the score of token \(bad) is not a number")
    }
    var byteTokens = [Int32](repeating: -1, count: 256)
    for token in 0..<vocabulary.tokens.count where base.kind(token) == .byte {
      guard let byte = Self.byte(vocabulary.tokens[token]) else {
        throw ServingError(.dataLoss, "token \(token) is of the byte type, but is not written like <0x0A>")
      }
      byteTokens[Int(byte)] = Int32(token)
    }
    self.byteTokens = byteTokens
    // Plain text must never become a control token or, spelled out, a byte.
    let index = ByteStringIndex(vocabulary.tokens) { base.kind($0) == .normal || base.kind($0) == .userDefined }
    rule = ScoreRule(index: index, scores: vocabulary.scores)
    addsSpacePrefix = vocabulary.addsSpacePrefix ?? true
    unknown = vocabulary.unknown
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
    var escaped: [UInt8] = []
    return base.encode(text, parseSpecial: parseSpecial, addSpecial: addSpecial) { bytes, followsToken, output in
      escaped.removeAll(keepingCapacity: true)
      if addsSpacePrefix, followsToken { escaped.append(contentsOf: Self.space) }
      for byte in bytes {
        if byte == UInt8(ascii: " ") { escaped.append(contentsOf: Self.space) } else { escaped.append(byte) }
      }
      escaped.withUnsafeBufferPointer { encodeFragment($0, &merger, &output) }
    }
  }

  private func encodeFragment(
    _ text: UnsafeBufferPointer<UInt8>, _ merger: inout SymbolMerger, _ output: inout [TokenID]
  ) {
    var position = 0
    while position < text.count {
      let lead = text[position]
      let length = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4
      let end = min(position + length, text.count)
      let token = rule.index.find(UnsafeBufferPointer(rebasing: text[position..<end]))
      merger.append(SymbolMerger.Symbol(id: token.map { Int32($0) } ?? -1, start: position, end: end))
      position = end
    }
    merger.run(TextRule(text: text, rule: rule)) { symbol in
      guard symbol.id < 0 else {
        output.append(symbol.id)
        return
      }
      for byte in text[symbol.start..<symbol.end] {
        if byteTokens[Int(byte)] >= 0 {
          output.append(byteTokens[Int(byte)])
        } else if let unknown {
          output.append(unknown)
        }
      }
    }
  }

  /// `▁`, U+2581.
  private static let space: [UInt8] = [0xE2, 0x96, 0x81]

  private static func unescape(_ token: ArraySlice<UInt8>, into output: inout [UInt8]) {
    var position = token.startIndex
    while position < token.endIndex {
      if token[position...].starts(with: space) {
        output.append(UInt8(ascii: " "))
        position += space.count
      } else {
        output.append(token[position])
        position += 1
      }
    }
  }

  /// The byte that a token such as `<0x0A>` stands for.
  private static func byte(_ token: ArraySlice<UInt8>) -> UInt8? {
    guard token.count == 6, token.starts(with: Array("<0x".utf8)), token.last == UInt8(ascii: ">") else { return nil }
    return UInt8(String(decoding: token.dropFirst(3).dropLast(), as: UTF8.self), radix: 16)
  }
}

/// Two neighbours merge where the vocabulary has them as one token.
private struct ScoreRule: Sendable {
  let index: ByteStringIndex
  /// Lower comes first: the scores, turned around and made comparable as integers.
  private let priorities: [UInt32]

  init(index: ByteStringIndex, scores: [Float]) {
    self.index = index
    priorities = scores.map { score in
      let bits = (score + 0).bitPattern
      return ~(bits ^ (bits >> 31 == 1 ? 0xFFFF_FFFF : 0x8000_0000))
    }
  }

  func merge(_ bytes: UnsafeBufferPointer<UInt8>) -> (priority: UInt32, id: Int32)? {
    index.find(bytes).map { (priorities[$0], Int32($0)) }
  }
}

private struct TextRule: MergeRule {
  let text: UnsafeBufferPointer<UInt8>
  let rule: ScoreRule

  func merge(_ left: SymbolMerger.Symbol, _ right: SymbolMerger.Symbol) -> (priority: UInt32, id: Int32)? {
    rule.merge(UnsafeBufferPointer(rebasing: text[left.start..<right.end]))
  }
}
