import ServingTypes
import Testing
import Tokenization

@Suite struct PreTokenizerTests {
  private struct Case: Decodable {
    var text: String
    var words: [String: [String]]
  }

  private func words(_ text: String, _ preTokenizer: PreTokenizer) -> [String] {
    var words: [String] = []
    var text = text
    text.withUTF8 { bytes in
      preTokenizer.forEachWord(bytes) { words.append(String(decoding: bytes[$0], as: UTF8.self)) }
    }
    return words
  }

  /// The scanners against the regular expressions that they stand for.
  @Test func cutsAsTheRegularExpressionsDo() throws {
    let cases = try Golden.decode("words", as: [Case].self)
    #expect(cases.count > 200)
    for entry in cases {
      for (name, expected) in entry.words {
        let found = words(entry.text, try PreTokenizer(name: name))
        #expect(
          found.map { Array($0.utf8) } == expected.map { Array($0.utf8) }, "\(name): \(entry.text.debugDescription)")
      }
    }
  }

  @Test func nothingHasNoWords() throws {
    for name in ["gpt-2", "smollm", "qwen2", "llama-bpe"] { #expect(words("", try PreTokenizer(name: name)) == []) }
  }
}
