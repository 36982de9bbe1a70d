import ServingTypes
import Tokenization

/// One sample's tokens becoming text: whole characters only, and cut before a stop string.
///
/// What comes out depends on the sequence of tokens alone, not on how they were grouped, so that a request that moves to
/// another worker goes on with the very next character.
public struct SampleText: Sendable {
  /// What some tokens led to.
  public struct Update: Hashable, Sendable {
    /// Those up to and including the one that completed a stop string.
    public var tokens: [GeneratedToken]
    public var text: String
    public var finish: FinishReason?
    /// A stop string matched and the engine does not know: it has to be told to stop.
    public var hasMatchedStop: Bool

    public init(
      tokens: [GeneratedToken] = [], text: String = "", finish: FinishReason? = nil, hasMatchedStop: Bool = false
    ) {
      self.tokens = tokens
      self.text = text
      self.finish = finish
      self.hasMatchedStop = hasMatchedStop
    }
  }

  private var detokenizer: StreamingDetokenizer
  private var matcher: StopStringMatcher
  private let minTokens: Int
  private var count = 0
  /// Nothing is new yet: all text so far, the rest of a sample that had ended too, was delivered where it came first.
  private var isReplayed = false
  public private(set) var isFinished = false

  public init(tokenizer: any Tokenizer, stop: [String], minTokens: Int) {
    detokenizer = StreamingDetokenizer(tokenizer)
    matcher = StopStringMatcher(stop)
    self.minTokens = minTokens
  }

  /// Takes the tokens that the sample had before it moved here; their text was delivered already.
  ///
  /// - Returns: whether a stop string matches within them, so that there is nothing left to do.
  public mutating func replay(_ tokens: [TokenID]) -> Bool {
    isReplayed = !tokens.isEmpty
    for token in tokens where take(token).matched {
      isFinished = true
      return true
    }
    return false
  }

  /// Takes new tokens; `finish` comes with the sample's last ones.
  public mutating func append(_ tokens: [GeneratedToken], finish: FinishReason?) -> Update {
    var update = Update()
    guard !isFinished else { return update }
    if !tokens.isEmpty { isReplayed = false }
    for (index, token) in tokens.enumerated() {
      update.tokens.append(token)
      // The token that ends a generation is reported, but it is no part of the text.
      if finish == .stop, index == tokens.count - 1 { break }
      let (text, matched) = take(token.id)
      update.text += text
      if matched {
        update.finish = .stop
        update.hasMatchedStop = finish == nil
        isFinished = true
        return update
      }
    }
    if let finish {
      isFinished = true
      update.finish = finish
      if isReplayed { return update }
      let (text, matched) = rest()
      update.text += text
      if matched { update.finish = .stop }
    }
    return update
  }

  private mutating func take(_ token: TokenID) -> (text: String, matched: Bool) {
    count += 1
    return match(detokenizer.append(token))
  }

  /// A character left unfinished may still complete a stop string.
  private mutating func rest() -> (text: String, matched: Bool) {
    let (text, matched) = match(detokenizer.finish())
    return matched ? (text, true) : (text + matcher.finish(), false)
  }

  private mutating func match(_ text: String) -> (text: String, matched: Bool) {
    // Stop strings count from the first token at which the sample may stop, as in vLLM.
    guard count > minTokens else { return (text, false) }
    switch matcher.append(text) {
    case .text(let text): return (text, false)
    case .stopped(let before, _): return (before, true)
    }
  }
}
