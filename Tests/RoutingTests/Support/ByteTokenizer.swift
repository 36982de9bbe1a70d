import ServingTypes
import Tokenization

/// Each byte is a token; 256 opens a sequence and 257 ends one.
struct ByteTokenizer: Tokenizer {
  let vocabularySize = 258
  let beginningOfSequence: TokenID? = 256
  let endOfSequence: TokenID? = 257
  let endOfGenerationTokens: [TokenID] = [257]
  private let table = (0...255).map { UInt8($0) }

  func encode(_ text: String, parseSpecial: Bool, addSpecial: Bool) -> [TokenID] {
    (addSpecial ? [256] : []) + text.utf8.map { TokenID($0) }
  }

  func bytes(of token: TokenID) -> ArraySlice<UInt8> {
    (0..<256).contains(token) ? table[Int(token)...Int(token)] : []
  }

  func isControl(_ token: TokenID) -> Bool { token >= 256 }
  func specialToken(_ text: String) -> TokenID? { nil }
}
