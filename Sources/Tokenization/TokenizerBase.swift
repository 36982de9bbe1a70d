import ServingTypes

/// What both kinds of tokenizer share: the tokens' bytes and kinds, and the special tokens.
struct TokenizerBase: Sendable {
  /// The bytes that each token stands for.
  let pieces: ByteStrings
  let beginningOfSequence: TokenID?
  let endOfSequence: TokenID?
  let endOfGenerationTokens: [TokenID]
  private let kinds: [TokenKind]
  private let matcher: SpecialTokenMatcher
  private let prefix: TokenID?
  private let suffix: TokenID?

  /// `decode` appends the bytes that a token of the file stands for.
  init(
    _ vocabulary: TokenizerVocabulary, addsBeginningByDefault: Bool,
    decode: (ArraySlice<UInt8>, TokenKind, inout [UInt8]) -> Void
  ) throws(ServingError) {
    try vocabulary.validate()
    let count = vocabulary.tokens.count
    var kinds = vocabulary.kinds.isEmpty ? [TokenKind](repeating: .normal, count: count) : vocabulary.kinds
    var pieces = ByteStrings()
    pieces.reserveCapacity(strings: count, bytes: vocabulary.tokens.storage.count)
    var matcher = SpecialTokenMatcher()
    var endOfGeneration = Set([vocabulary.endOfSequence, vocabulary.endOfTurn].compactMap(\.self))
    var piece: [UInt8] = []
    for token in 0..<count {
      let text = vocabulary.tokens[token]
      if Self.endsGeneration(text, kinds[token]) {
        // Some files call such a token normal; as control it can't be spelled by a user, nor shown to one.
        kinds[token] = .control
        endOfGeneration.insert(TokenID(token))
      }
      piece.removeAll(keepingCapacity: true)
      decode(text, kinds[token], &piece)
      pieces.append(piece)
      switch kinds[token] {
      case .control, .unknown: matcher.insert(text, token: TokenID(token), isControl: true)
      case .userDefined: matcher.insert(text, token: TokenID(token), isControl: false)
      case .normal, .unused, .byte: break
      }
    }
    self.kinds = kinds
    self.pieces = pieces
    self.matcher = matcher
    beginningOfSequence = vocabulary.beginningOfSequence
    endOfSequence = vocabulary.endOfSequence
    endOfGenerationTokens = endOfGeneration.sorted()
    prefix = vocabulary.addsBeginningOfSequence ?? addsBeginningByDefault ? vocabulary.beginningOfSequence : nil
    suffix = vocabulary.addsEndOfSequence ?? false ? vocabulary.endOfSequence : nil
  }

  /// Texts that mean the end of a generation in one family of models or another; GGUF names only one or two of them.
  private static let endTexts: Set<ArraySlice<UInt8>> = Set(
    [
      "<|eot_id|>", "<|im_end|>", "<|end|>", "<|return|>", "<end_of_turn>", "<|endoftext|>", "<|eom_id|>", "<EOT>",
      "<|end_of_text|>", "<end_of_utterance>", "<eos>", "</s>", "<|fim_pad|>", "<|repo_name|>", "<|file_sep|>",
    ].map { Array($0.utf8)[...] })

  /// Only `<|…|>` is taken for what it looks like: `</s>` may as well be a tag that a model writes in HTML.
  private static func endsGeneration(_ text: ArraySlice<UInt8>, _ kind: TokenKind) -> Bool {
    guard text.first == UInt8(ascii: "<"), text.last == UInt8(ascii: ">"), kind != .byte else { return false }
    return (kind == .control || text.dropFirst().first == UInt8(ascii: "|")) && endTexts.contains(text)
  }

  func kind(_ token: Int) -> TokenKind { kinds[token] }

  func bytes(of token: TokenID) -> ArraySlice<UInt8> {
    token >= 0 && Int(token) < pieces.count ? pieces[Int(token)] : []
  }

  func isControl(_ token: TokenID) -> Bool {
    guard token >= 0, Int(token) < kinds.count else { return false }
    return kinds[Int(token)] == .control || kinds[Int(token)] == .unknown
  }

  func specialToken(_ text: String) -> TokenID? {
    var text = text
    return text.withUTF8 { matcher.token($0) }
  }

  /// Cuts the text at its special tokens; `encodeText` encodes what lies between (told whether a token, or nothing, precedes).
  func encode(
    _ text: String, parseSpecial: Bool, addSpecial: Bool,
    _ encodeText: (UnsafeBufferPointer<UInt8>, Bool, inout [TokenID]) -> Void
  ) -> [TokenID] {
    var output: [TokenID] = []
    if addSpecial, let prefix { output.append(prefix) }
    var text = text
    text.withUTF8 { bytes in
      var followsToken = true
      for fragment in matcher.fragments(of: bytes, parseControl: parseSpecial) {
        if let token = fragment.token {
          output.append(token)
          followsToken = true
        } else {
          encodeText(UnsafeBufferPointer(rebasing: bytes[fragment.range]), followsToken, &output)
          followsToken = false
        }
      }
    }
    if addSpecial, let suffix { output.append(suffix) }
    return output
  }
}
