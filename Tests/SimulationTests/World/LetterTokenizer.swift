import ServingTypes
import Tokenization

/// A vocabulary of 32: letters, halves of a character, and an end.
struct LetterTokenizer: Tokenizer {
  static let end: TokenID = 31

  var vocabularySize: Int { 32 }
  var beginningOfSequence: TokenID? { nil }
  var endOfSequence: TokenID? { Self.end }
  var endOfGenerationTokens: [TokenID] { [Self.end] }

  func encode(_ text: String, parseSpecial: Bool, addSpecial: Bool) -> [TokenID] {
    text.utf8.map { TokenID($0) % 26 }
  }

  func bytes(of token: TokenID) -> ArraySlice<UInt8> {
    switch token {
    case 0..<26: [UInt8(ascii: "a") + UInt8(token)]
    case 26: [UInt8(ascii: " ")]
    case 27, 28: [0xC3]
    case 29, 30: [0xA9]
    default: []
    }
  }

  func isControl(_ token: TokenID) -> Bool { token == Self.end }
  func specialToken(_ text: String) -> TokenID? { nil }
}
