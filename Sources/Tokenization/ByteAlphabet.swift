/// GPT-2's alphabet: each byte as one printable character, so that a vocabulary of bytes can be written as text.
///
/// Printable bytes of Latin-1 stand for themselves, the other 68 are U+0100 and up in order.
enum ByteAlphabet {
  /// The byte of each character below U+0144, or -1.
  private static let bytes: [Int16] = {
    var table = [Int16](repeating: -1, count: 0x144)
    var next = 0x100
    for byte in 0..<256 {
      let isPrintable = (0x21...0x7E).contains(byte) || (0xA1...0xAC).contains(byte) || (0xAE...0xFF).contains(byte)
      table[isPrintable ? byte : next] = Int16(byte)
      if !isPrintable { next += 1 }
    }
    return table
  }()

  /// Appends the bytes that `text` spells; a character outside the alphabet stands for its own UTF-8.
  static func decode(_ text: ArraySlice<UInt8>, into output: inout [UInt8]) {
    var position = text.startIndex
    while position < text.endIndex {
      let lead = text[position]
      if lead < 0x80 {
        let byte = bytes[Int(lead)]
        output.append(byte >= 0 ? UInt8(byte) : lead)
        position += 1
        continue
      }
      // The alphabet's other characters take two bytes each.
      if lead >= 0xC2, lead < 0xE0, position + 1 < text.endIndex {
        let code = Int(lead & 0x1F) << 6 | Int(text[position + 1] & 0x3F)
        if code < bytes.count, bytes[code] >= 0 {
          output.append(UInt8(bytes[code]))
          position += 2
          continue
        }
      }
      output.append(lead)
      position += 1
    }
  }
}
