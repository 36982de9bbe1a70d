import ServingTypes
import Tokenization

/// A vocabulary for simulated models: 256 single bytes, which are often half a character or none at all, then short words.
struct PlainTokenizer: Tokenizer {
  var vocabularySize: Int { 512 }
  var beginningOfSequence: TokenID? { nil }
  var endOfSequence: TokenID? { nil }
  var endOfGenerationTokens: [TokenID] { [] }

  func encode(_ text: String, parseSpecial: Bool, addSpecial: Bool) -> [TokenID] { text.utf8.map { TokenID($0) } }

  func bytes(of token: TokenID) -> ArraySlice<UInt8> {
    switch token {
    case 0..<256: [UInt8(token)]
    case 256..<300: ArraySlice("é\(token)".utf8)
    default: ArraySlice(" w\(token)".utf8)
    }
  }

  func isControl(_ token: TokenID) -> Bool { false }
  func specialToken(_ text: String) -> TokenID? { nil }
}
