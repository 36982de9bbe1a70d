import ServingTypes

/// What a model file says about its tokenizer, in the words of GGUF's `tokenizer.ggml.…` keys.
public struct TokenizerVocabulary: Sendable {
  /// `gpt2` is byte-level BPE, `llama` is SentencePiece.
  public var model: String
  /// Names how text is split before BPE, as in `qwen2`.
  public var preTokenizer: String
  /// The tokens as written in the file: byte-level BPE spells bytes as printable characters, SentencePiece spaces as `▁`.
  public var tokens: ByteStrings
  /// The kind of each token; empty means that all are normal.
  public var kinds: [TokenKind]
  /// For SentencePiece: of two possible merges the one with the higher score comes first.
  public var scores: [Float]
  /// For BPE: `left right`, the most important first.
  public var merges: ByteStrings
  public var beginningOfSequence: TokenID?
  public var endOfSequence: TokenID?
  public var endOfTurn: TokenID?
  public var unknown: TokenID?
  /// Nil where the file leaves it to the algorithm's habit.
  public var addsBeginningOfSequence: Bool?
  public var addsEndOfSequence: Bool?
  public var addsSpacePrefix: Bool?

  public init(
    model: String, preTokenizer: String = "", tokens: ByteStrings, kinds: [TokenKind] = [], scores: [Float] = [],
    merges: ByteStrings = ByteStrings(), beginningOfSequence: TokenID? = nil, endOfSequence: TokenID? = nil,
    endOfTurn: TokenID? = nil, unknown: TokenID? = nil, addsBeginningOfSequence: Bool? = nil,
    addsEndOfSequence: Bool? = nil, addsSpacePrefix: Bool? = nil
  ) {
    self.model = model
    self.preTokenizer = preTokenizer
    self.tokens = tokens
    self.kinds = kinds
    self.scores = scores
    self.merges = merges
    self.beginningOfSequence = beginningOfSequence
    self.endOfSequence = endOfSequence
    self.endOfTurn = endOfTurn
    self.unknown = unknown
    self.addsBeginningOfSequence = addsBeginningOfSequence
    self.addsEndOfSequence = addsEndOfSequence
    self.addsSpacePrefix = addsSpacePrefix
  }

  /// The tokenizer that the vocabulary asks for.
  ///
  /// Throws `unimplemented` for an algorithm or a way of splitting that is not known, `dataLoss` for contradictions.
  public func makeTokenizer() throws(ServingError) -> any Tokenizer {
    switch model {
    case "gpt2": return try BytePairTokenizer(self)
    case "llama": return try SentencePieceTokenizer(self)
    default:
      throw ServingError(
        .unimplemented,
        "the tokenizer model \"\(model)\" is not supported: only gpt2 (BPE) and llama (SentencePiece) are")
    }
  }

  func validate() throws(ServingError) {
    guard tokens.count > 0, tokens.count < Int(TokenID.max) else {
      throw ServingError(.dataLoss, "the vocabulary has \(tokens.count) tokens")
    }
    guard kinds.isEmpty || kinds.count == tokens.count else {
      throw ServingError(.dataLoss, "the vocabulary has \(tokens.count) tokens, but \(kinds.count) token types")
    }
    let named = [
      ("bos_token_id", beginningOfSequence), ("eos_token_id", endOfSequence), ("eot_token_id", endOfTurn),
      ("unknown_token_id", unknown),
    ]
    for (name, token) in named {
      guard let token, token < 0 || Int(token) >= tokens.count else { continue }
      throw ServingError(.dataLoss, "\(name) is \(token), outside the vocabulary of \(tokens.count) tokens")
    }
  }
}
