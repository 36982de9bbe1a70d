import ServingTypes

/// Turns text into a model's tokens and back. Any thread may use one.
public protocol Tokenizer: Sendable {
  var vocabularySize: Int { get }
  /// The token that opens a sequence, where the model has one.
  var beginningOfSequence: TokenID? { get }
  /// The token that the model writes at its end.
  var endOfSequence: TokenID? { get }
  /// Every token that ends a generation (end of sequence, of turn, of file, …), ascending.
  var endOfGenerationTokens: [TokenID] { get }

  /// The text's tokens.
  ///
  /// - Parameters:
  ///   - parseSpecial: whether text such as `<|im_start|>` stands for the control token, as in a rendered chat; otherwise no
  ///     text yields a control token. Tokens that the vocabulary calls user-defined are found in either case.
  ///   - addSpecial: whether to add the tokens that the model wants around every prompt.
  /// - Complexity: O(n log n) in the text's length, whatever it holds.
  func encode(_ text: String, parseSpecial: Bool, addSpecial: Bool) -> [TokenID]

  /// The bytes that the token stands for, possibly a part of a character; none for a token outside the vocabulary.
  func bytes(of token: TokenID) -> ArraySlice<UInt8>

  /// Whether the token is a control token, which clients don't see by default.
  func isControl(_ token: TokenID) -> Bool

  /// The control or user-defined token written so, as in `<|im_end|>`.
  func specialToken(_ text: String) -> TokenID?
}

extension Tokenizer {
  /// The tokens' text; bytes that are no UTF-8 become U+FFFD.
  public func decode(_ tokens: some Sequence<TokenID>, skipControl: Bool = false) -> String {
    var bytes: [UInt8] = []
    for token in tokens where !(skipControl && isControl(token)) { bytes.append(contentsOf: self.bytes(of: token)) }
    return String(decoding: bytes, as: UTF8.self)
  }
}
