import DecodeServer
import ServingTestKit
import ServingTypes
import Testing

/// A sample's text must not depend on how its tokens were grouped, on whichever worker.
@Suite struct SampleTextTests {
  static func tokens(_ text: String) -> [GeneratedToken] { text.utf8.map { GeneratedToken(id: TokenID($0)) } }

  func text(stop: [String] = [], minTokens: Int = 0) -> SampleText {
    SampleText(tokenizer: PlainTokenizer(), stop: stop, minTokens: minTokens)
  }

  @Test func halfCharactersAreHeldBack() {
    var sample = text()
    let tokens = Self.tokens("é")
    #expect(sample.append([tokens[0]], finish: nil) == .init(tokens: [tokens[0]]))
    #expect(sample.append([tokens[1]], finish: nil).text == "é")
    #expect(sample.append([tokens[0]], finish: .length).text == "\u{FFFD}")
    #expect(sample.append(tokens, finish: nil) == .init(), "nothing comes after the end")
  }

  @Test func theEndTokenIsReportedButNoText() {
    var sample = text()
    let update = sample.append(Self.tokens("ab#"), finish: .stop)
    #expect(update.text == "ab")
    #expect(update.tokens.count == 3)
    #expect(update.finish == .stop && !update.hasMatchedStop)
  }

  @Test func aStopStringCutsTokensAndText() {
    var sample = text(stop: ["STOP", "never"])
    let held = sample.append(Self.tokens("one ST"), finish: nil)
    #expect(held.text == "one ")
    #expect(held.tokens.count == 6)
    let update = sample.append(Self.tokens("OP and more"), finish: nil)
    #expect(update.text == "")
    #expect(update.tokens.count == 2)
    #expect(update.finish == .stop && update.hasMatchedStop)
    #expect(sample.append(Self.tokens("x"), finish: .length) == .init())
  }

  @Test func aStopStringInTheLastTokensNeedsNoStopping() {
    var sample = text(stop: ["b"])
    let update = sample.append(Self.tokens("abc"), finish: .length)
    #expect(update == .init(tokens: Array(Self.tokens("ab")), text: "a", finish: .stop, hasMatchedStop: false))
  }

  @Test func heldTextComesOutAtTheEnd() {
    var sample = text(stop: ["STOP"])
    #expect(sample.append(Self.tokens("a STO"), finish: .length).text == "a STO")
  }

  /// Where a request moves after one of its samples has ended, the worker is told that end once more.
  @Test(arguments: ["a STO", "a\u{FFFD}"])
  func whatCameOutAtTheEndDoesNotComeAgain(_ ended: String) {
    var tokens = Self.tokens(ended)
    if ended.hasSuffix("\u{FFFD}") { tokens = Self.tokens("a") + [Self.tokens("é")[0]] }
    var first = text(stop: ["STOP"])
    #expect(first.append(tokens, finish: .length).text == ended)
    var moved = text(stop: ["STOP"])
    let hasMatched = moved.replay(tokens.map(\.id))
    #expect(!hasMatched && moved.append([], finish: .length) == .init(finish: .length))
    #expect(moved.isFinished)
  }

  @Test func stopStringsCountAfterTheLeastTokens() {
    var sample = text(stop: ["aa"], minTokens: 3)
    #expect(sample.append(Self.tokens("aaa"), finish: nil).text == "aaa")
    #expect(sample.append(Self.tokens("xaa!"), finish: nil).text == "x")
  }

  @Test(arguments: 0..<100)
  func groupingAndMovingChangeNothing(seed: Int) {
    var random = SplitMix64(seed: UInt64(seed))
    let tokens = (0..<60).map { _ in GeneratedToken(id: TokenID(random.next() % 300)) }
    let stops = ["é2", "a", "\u{FFFD}\u{FFFD}\u{FFFD}"]
    func run(_ sample: inout SampleText, from start: Int, _ sizes: () -> Int) -> (String, Int, FinishReason?) {
      var (result, count, index) = ("", 0, start)
      while index < tokens.count {
        let end = min(tokens.count, index + sizes())
        let update = sample.append(Array(tokens[index..<end]), finish: end == tokens.count ? .length : nil)
        result += update.text
        count += update.tokens.count
        if let finish = update.finish { return (result, start + count, finish) }
        index = end
      }
      return (result, start + count, nil)
    }
    var whole = text(stop: stops)
    let expected = run(&whole, from: 0) { tokens.count }
    var grouped = text(stop: stops)
    let result = run(&grouped, from: 0) { Int(random.next() % 4) + 1 }
    #expect(result == expected)
    // Up to some token here, from there on elsewhere.
    let moved = Int(random.next() % 60)
    var before = text(stop: stops)
    let first = before.append(Array(tokens[..<moved]), finish: nil)
    var after = text(stop: stops)
    let isOver = after.replay(tokens[..<moved].map(\.id))
    #expect(isOver == (first.finish != nil))
    if !isOver {
      let rest = run(&after, from: moved) { 1 }
      #expect(first.text + rest.0 == expected.0)
      #expect(rest.1 == expected.1 && rest.2 == expected.2)
    }
  }
}
