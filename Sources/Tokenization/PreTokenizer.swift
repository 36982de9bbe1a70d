import ServingTypes

/// How text is cut into words before BPE, each a hand-written scanner for the regular expression in its comment.
package enum PreTokenizer: Sendable {
  /// `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`
  case gpt2
  /// `\p{N}`, then `gpt2` on what lies between.
  case digitsThenGPT2
  /// `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,n}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
  case llama3(digits: Int)

  /// From `tokenizer.ggml.pre`.
  package init(name: String) throws(ServingError) {
    switch name {
    case "gpt-2", "gpt2", "phi-2": self = .gpt2
    case "smollm", "starcoder", "refact": self = .digitsThenGPT2
    case "llama3", "llama-v3", "llama-bpe", "falcon3": self = .llama3(digits: 3)
    case "qwen2", "deepseek-r1-qwen": self = .llama3(digits: 1)
    default:
      throw ServingError(
        .unimplemented, "the pre-tokenizer \"\(name)\" is not supported: gpt2, smollm, llama-bpe and qwen2 are")
    }
  }

  /// Calls `body` with each word's range of bytes, in order; together they cover the text, which is valid UTF-8.
  package func forEachWord(_ text: UnsafeBufferPointer<UInt8>, _ body: (Range<Int>) -> Void) {
    let scanner = WordScanner(text)
    switch self {
    case .gpt2: scanner.scanGPT2(0..<scanner.count, body)
    case .digitsThenGPT2:
      var start = 0
      for index in 0..<scanner.count where scanner[index] == .number {
        scanner.scanGPT2(start..<index, body)
        body(scanner.bytes(index..<index + 1))
        start = index + 1
      }
      scanner.scanGPT2(start..<scanner.count, body)
    case .llama3(let digits): scanner.scanLlama3(digits: digits, body)
    }
  }
}

/// A text's characters with what the scanners want to know about each.
private struct WordScanner {
  enum Class: UInt8 {
    case end, letter, number, space, newline, otherWhitespace, apostrophe, other

    var isWhitespace: Bool { self == .space || self == .newline || self == .otherWhitespace }
    /// `[^\s\p{L}\p{N}]`
    var isSymbol: Bool { self == .apostrophe || self == .other }
  }

  private let text: UnsafeBufferPointer<UInt8>
  /// The class of each Unicode scalar, then `.end`.
  private var classes: [Class] = []
  /// Where each scalar starts, then where the text ends.
  private var offsets: [Int32] = []

  init(_ text: UnsafeBufferPointer<UInt8>) {
    self.text = text
    classes.reserveCapacity(text.count + 1)
    offsets.reserveCapacity(text.count + 1)
    var position = 0
    while position < text.count {
      let lead = text[position]
      let length = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4
      classes.append(
        length == 1 ? Self.ascii[Int(lead)] : Self.classify(text, position, min(length, text.count - position)))
      offsets.append(Int32(position))
      position += length
    }
    classes.append(.end)
    offsets.append(Int32(text.count))
  }

  /// Scalars in the text.
  var count: Int { classes.count - 1 }

  subscript(_ index: Int) -> Class { classes[index] }

  func bytes(_ scalars: Range<Int>) -> Range<Int> {
    Int(offsets[scalars.lowerBound])..<Int(offsets[scalars.upperBound])
  }

  private static let ascii: [Class] = (0..<128).map { code in
    switch UInt8(code) {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"): .letter
    case UInt8(ascii: "0")...UInt8(ascii: "9"): .number
    case UInt8(ascii: " "): .space
    case UInt8(ascii: "\r"), UInt8(ascii: "\n"): .newline
    case 9, 11, 12: .otherWhitespace
    case UInt8(ascii: "'"): .apostrophe
    default: .other
    }
  }

  private static func classify(_ text: UnsafeBufferPointer<UInt8>, _ position: Int, _ length: Int) -> Class {
    var code = UInt32(text[position]) & (0xFF >> UInt32(length + 1))
    for index in 1..<max(1, length) { code = code << 6 | UInt32(text[position + index] & 0x3F) }
    guard let scalar = Unicode.Scalar(code) else { return .other }
    switch scalar.properties.generalCategory {
    case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter: return .letter
    case .decimalNumber, .letterNumber, .otherNumber: return .number
    default: return scalar.properties.isWhitespace ? .otherWhitespace : .other
    }
  }

  /// The scalars of a contraction that starts with the apostrophe at `index`, or 0.
  private func contraction(at index: Int, end: Int, ignoringCase: Bool) -> Int {
    func letter(_ offset: Int) -> UInt8 {
      guard index + offset < end else { return 0 }
      let byte = text[Int(offsets[index + offset])]
      return ignoringCase && byte >= 0x41 && byte <= 0x5A ? byte | 0x20 : byte
    }
    switch (letter(1), letter(2)) {
    case (UInt8(ascii: "s"), _), (UInt8(ascii: "t"), _), (UInt8(ascii: "m"), _), (UInt8(ascii: "d"), _): return 2
    case (UInt8(ascii: "r"), UInt8(ascii: "e")), (UInt8(ascii: "v"), UInt8(ascii: "e")): return 3
    case (UInt8(ascii: "l"), UInt8(ascii: "l")): return 3
    default: return 0
    }
  }

  func scanGPT2(_ scalars: Range<Int>, _ body: (Range<Int>) -> Void) {
    let end = scalars.upperBound
    func at(_ index: Int) -> Class { index < end ? classes[index] : .end }
    var position = scalars.lowerBound
    while position < end {
      let start = position
      defer { body(bytes(start..<position)) }
      if at(position) == .apostrophe {
        let length = contraction(at: position, end: end, ignoringCase: false)
        if length > 0 {
          position += length
          continue
        }
      }
      let first = at(position) == .space ? position + 1 : position
      switch at(first) {
      case .letter, .number:
        let kind = at(first)
        position = first + 1
        while at(position) == kind { position += 1 }
      case .apostrophe, .other:
        position = first + 1
        while at(position).isSymbol { position += 1 }
      default:
        position = endOfWhitespace(from: position, end: end)
      }
    }
  }

  func scanLlama3(digits: Int, _ body: (Range<Int>) -> Void) {
    let end = count
    var position = 0
    while position < end {
      let start = position
      defer { body(bytes(start..<position)) }
      let kind = classes[position]
      if kind == .apostrophe {
        let length = contraction(at: position, end: end, ignoringCase: true)
        if length > 0 {
          position += length
          continue
        }
      }
      if kind == .letter || (kind != .newline && kind != .number && classes[position + 1] == .letter) {
        position += 1
        while classes[position] == .letter { position += 1 }
        continue
      }
      if kind == .number {
        while position < start + digits, classes[position] == .number { position += 1 }
        continue
      }
      let first = kind == .space ? position + 1 : position
      if classes[first].isSymbol {
        position = first
        while classes[position].isSymbol { position += 1 }
        while classes[position] == .newline { position += 1 }
        continue
      }
      var whitespaceEnd = position
      var newlineEnd: Int?
      while classes[whitespaceEnd].isWhitespace {
        whitespaceEnd += 1
        if classes[whitespaceEnd - 1] == .newline { newlineEnd = whitespaceEnd }
      }
      position = newlineEnd ?? endOfWhitespace(from: position, end: end)
    }
  }

  /// `\s+(?!\S)|\s+`: all of the whitespace, but for the last of several where a word follows.
  private func endOfWhitespace(from start: Int, end: Int) -> Int {
    var position = start
    while position < end, classes[position].isWhitespace { position += 1 }
    return position < end && position - start > 1 ? position - 1 : position
  }
}
