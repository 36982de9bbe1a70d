import ServingTestKit
import ServingTypes
import Testing
import Tokenization

@Suite struct StreamingTests {
  /// Byte n is token n; token 256 is a control token.
  private func byteTokenizer() throws -> any Tokenizer {
    var tokens = ByteStrings()
    var kinds = [TokenKind](repeating: .byte, count: 256)
    for byte in 0..<256 {
      let digits = String(byte, radix: 16, uppercase: true)
      tokens.append(Array("<0x\(digits.count == 1 ? "0" : "")\(digits)>".utf8))
    }
    tokens.append(Array("</s>".utf8))
    kinds.append(.control)
    return try TokenizerVocabulary(
      model: "llama", tokens: tokens, kinds: kinds, scores: [Float](repeating: 0, count: 257)
    ).makeTokenizer()
  }

  private func stream(_ bytes: [UInt8]) throws -> (pieces: [String], rest: String) {
    var detokenizer = StreamingDetokenizer(try byteTokenizer())
    let pieces = bytes.map { detokenizer.append(TokenID($0)) }
    return (pieces, detokenizer.finish())
  }

  @Test func holdsBackHalfACharacter() throws {
    let (pieces, rest) = try stream(Array("aé🦆".utf8))
    #expect(pieces == ["a", "", "é", "", "", "", "🦆"])
    #expect(rest == "")
  }

  @Test func givesUpOnBytesThatCannotBecomeACharacter() throws {
    #expect(try stream([0xFF]).pieces == ["\u{FFFD}"])
    #expect(try stream([0xC3, 0x28]).pieces == ["", "\u{FFFD}("])
    // An overlong form, a surrogate and a number too large are wrong from their second byte on.
    #expect(try stream([0xE0, 0x80]).pieces == ["", "\u{FFFD}\u{FFFD}"])
    #expect(try stream([0xED, 0xA0]).pieces == ["", "\u{FFFD}\u{FFFD}"])
    #expect(try stream([0xF4, 0x90]).pieces == ["", "\u{FFFD}\u{FFFD}"])
    let (pieces, rest) = try stream([0xF0, 0x9F, 0xA6])
    #expect(pieces == ["", "", ""])
    #expect(rest == "\u{FFFD}")
  }

  @Test func joinedPiecesAreTheWholeDecoded() throws {
    var random = SplitMix64(seed: 31)
    let tokenizer = try byteTokenizer()
    let interesting: [UInt8] = [
      0x41, 0x80, 0xBF, 0xC2, 0xC3, 0xE0, 0xA0, 0xED, 0x9F, 0xF0, 0x90, 0xF4, 0x8F, 0xFF, 0xC0,
    ]
    for _ in 0..<2_000 {
      let bytes = (0..<Int.random(in: 0..<12, using: &random)).compactMap { _ in
        interesting.randomElement(using: &random)
      }
      let (pieces, rest) = try stream(bytes)
      #expect(pieces.joined() + rest == tokenizer.decode(bytes.map { TokenID($0) }))
    }
  }

  @Test func leavesControlTokensOut() throws {
    let tokenizer = try byteTokenizer()
    var hidden = StreamingDetokenizer(tokenizer)
    #expect(hidden.append(256) == "")
    var shown = StreamingDetokenizer(tokenizer, skipsControl: false)
    #expect(shown.append(256) == "</s>")
    #expect(shown.append(-5) == "")
  }

  private func run(_ stops: [String], _ pieces: [String]) -> (text: String, stop: Int?) {
    var matcher = StopStringMatcher(stops)
    var text = ""
    for piece in pieces {
      switch matcher.append(piece) {
      case .text(let part): text += part
      case .stopped(let before, let index): return (text + before, index)
      }
    }
    return (text + matcher.finish(), nil)
  }

  @Test func stopsAcrossPieces() {
    #expect(run(["STOP"], ["abST", "OPcd"]) == ("ab", 0))
    #expect(run(["STOP"], ["abST", "Ocd"]) == ("abSTOcd", nil))
    #expect(run(["STOP"], ["abSTO"]) == ("abSTO", nil))
    #expect(run(["aab"], ["a", "a", "a", "b", "x"]) == ("a", 0))
    #expect(run(["é🦆"], ["xé", "🦆y"]) == ("x", 0))
    #expect(run([], ["a", "b"]) == ("ab", nil))
  }

  @Test func theFirstCompleteMatchWinsThenTheLongest() {
    #expect(run(["bcd", "ab"], ["abcd"]) == ("", 1))
    #expect(run(["c", "abc"], ["xabc"]) == ("x", 1))
    #expect(run(["abcdef", "cd"], ["abcdef"]) == ("ab", 1))
  }

  @Test func holdsBackOnlyWhatMayBecomeAStop() {
    var matcher = StopStringMatcher(["\n\nUser:", "</s>"])
    #expect(matcher.append("Hi.\n") == .text("Hi."))
    #expect(matcher.append("More") == .text("\nMore"))
    #expect(matcher.append("\n\nUse") == .text(""))
    #expect(matcher.append("ful <") == .text("\n\nUseful "))
    #expect(matcher.finish() == "<")
    #expect(matcher.finish() == "")
  }

  @Test func theOutcomeDoesNotDependOnThePieces() {
    var random = SplitMix64(seed: 8)
    for _ in 0..<3_000 {
      let letters = (0..<20).map { _ in "ab".randomElement(using: &random) ?? "a" }
      let stops = (0..<3).map { _ in
        String((0..<Int.random(in: 2...5, using: &random)).map { _ in "ab".randomElement(using: &random) ?? "b" })
      }
      var pieces: [String] = []
      var rest = letters[...]
      while !rest.isEmpty {
        let count = Int.random(in: 1...4, using: &random)
        pieces.append(String(rest.prefix(count)))
        rest = rest.dropFirst(count)
      }
      let whole = run(stops, [String(letters)])
      #expect(run(stops, pieces) == whole)
      if whole.stop == nil { #expect(!stops.contains { String(letters).contains($0) }) }
    }
  }
}
