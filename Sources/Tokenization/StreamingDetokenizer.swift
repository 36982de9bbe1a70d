import ServingTypes

/// Turns tokens into text as they come, and never gives out half a character.
///
/// Bytes that may yet become a character are held back; bytes that cannot any more become U+FFFD, just as if all tokens had been
/// decoded at once: the texts given out, joined, do not depend on how the tokens were grouped.
public struct StreamingDetokenizer: Sendable {
  private let tokenizer: any Tokenizer
  private let skipsControl: Bool
  /// An unfinished character at most, between calls.
  private var pending: [UInt8] = []

  /// - Parameter skipsControl: leaves control tokens such as `<|im_end|>` out of the text.
  public init(_ tokenizer: any Tokenizer, skipsControl: Bool = true) {
    self.tokenizer = tokenizer
    self.skipsControl = skipsControl
  }

  /// Takes the next token and returns the text that is certain now, often empty.
  public mutating func append(_ token: TokenID) -> String {
    if skipsControl, tokenizer.isControl(token) { return "" }
    pending.append(contentsOf: tokenizer.bytes(of: token))
    let certain = pending.count - Self.unfinishedBytes(pending)
    guard certain > 0 else { return "" }
    defer { pending.removeFirst(certain) }
    return String(decoding: pending[..<certain], as: UTF8.self)
  }

  /// The rest: a character that stayed unfinished comes out as U+FFFD.
  public mutating func finish() -> String {
    defer { pending.removeAll() }
    return String(decoding: pending, as: UTF8.self)
  }

  /// How many bytes at the end are the beginning of a character that further bytes may complete.
  private static func unfinishedBytes(_ bytes: [UInt8]) -> Int {
    for length in 1...3 where length <= bytes.count {
      let lead = bytes[bytes.count - length]
      if lead & 0xC0 == 0x80 { continue }
      let wanted =
        switch lead {
        case 0xC2...0xDF: 2
        case 0xE0...0xEF: 3
        case 0xF0...0xF4: 4
        default: 0
        }
      guard length < wanted else { return 0 }
      if length == 1 { return 1 }
      // The second byte's range excludes overlong forms, surrogates and what lies above U+10FFFF.
      let second = bytes[bytes.count - length + 1]
      let isPossible =
        switch lead {
        case 0xE0: second >= 0xA0
        case 0xED: second <= 0x9F
        case 0xF0: second >= 0x90
        case 0xF4: second <= 0x8F
        default: true
        }
      return isPossible ? length : 0
    }
    return 0
  }
}
