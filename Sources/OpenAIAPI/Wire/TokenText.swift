import Observability
import ServingTypes

/// How log-probabilities show a token, which may be a part of a character.
enum TokenText {
  /// The text where the bytes are UTF-8, and otherwise `bytes:\xNN…`, as OpenAI's completions write it.
  static func readable(_ bytes: some Collection<UInt8>) -> String {
    if let text = String(validating: bytes, as: UTF8.self) { return text }
    return "bytes:" + bytes.map { byte in "\\x" + (byte < 16 ? "0" : "") + String(byte, radix: 16) }.joined()
  }

  /// Unicode scalars that begin in the bytes.
  static func scalarCount(_ bytes: some Collection<UInt8>) -> Int { bytes.count { $0 & 0xC0 != 0x80 } }

  /// A logarithm that JSON can hold.
  static func finite(_ logprob: Float) -> Float { logprob.isFinite ? logprob : -9999 }
}
