import ServingTypes
import Tokenization

/// Each byte is a token, and behind the bytes come words, which no text is made into: a simulated model says them.
public struct SimulatedTokenizer: Tokenizer {
  /// The tokens of whole words.
  public static let words: Range<TokenID> = 256..<512

  public let vocabularySize = 512
  public let beginningOfSequence: TokenID? = nil
  public let endOfSequence: TokenID? = nil
  public let endOfGenerationTokens: [TokenID] = []
  private let table: [[UInt8]]

  public init() {
    let letters = Array("bdfgklmnprstvwxz".utf8)
    table = Self.words.map { token in
      let index = Int(token - Self.words.lowerBound)
      return [UInt8(ascii: " "), letters[index / 16], UInt8(ascii: "a"), letters[index % 16], UInt8(ascii: "o")]
    }
  }

  public func encode(_ text: String, parseSpecial: Bool, addSpecial: Bool) -> [TokenID] {
    text.utf8.map { TokenID($0) }
  }

  public func bytes(of token: TokenID) -> ArraySlice<UInt8> {
    if (0..<256).contains(token) { return [UInt8(token)] }
    return Self.words.contains(token) ? table[Int(token - Self.words.lowerBound)][...] : []
  }

  public func isControl(_ token: TokenID) -> Bool { false }

  public func specialToken(_ text: String) -> TokenID? { nil }
}
