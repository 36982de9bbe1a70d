import Observability
import ServingTypes

/// Writes log-probabilities as `/v1/chat/completions` has them: one object per token, with its bytes.
struct ChatLogprobsEncoder {
  let tokenBytes: @Sendable (TokenID) -> [UInt8]

  func append(_ tokens: [GeneratedToken], to bytes: inout [UInt8]) {
    bytes.append(contentsOf: "{\"content\":[".utf8)
    for (index, token) in tokens.enumerated() {
      if index > 0 { bytes.append(UInt8(ascii: ",")) }
      appendEntry(token.id, token.logprob ?? -.infinity, to: &bytes)
      bytes.append(contentsOf: ",\"top_logprobs\":[".utf8)
      for (place, entry) in token.top.enumerated() {
        if place > 0 { bytes.append(UInt8(ascii: ",")) }
        appendEntry(entry.token, entry.logprob, to: &bytes)
        bytes.append(UInt8(ascii: "}"))
      }
      bytes.append(contentsOf: "]}".utf8)
    }
    bytes.append(contentsOf: "],\"refusal\":null}".utf8)
  }

  /// Leaves the object open.
  private func appendEntry(_ token: TokenID, _ logprob: Float, to bytes: inout [UInt8]) {
    let piece = tokenBytes(token)
    bytes.append(contentsOf: "{\"token\":".utf8)
    JSONText.append(String(decoding: piece, as: UTF8.self), to: &bytes)
    bytes.append(contentsOf: ",\"logprob\":\(TokenText.finite(logprob)),\"bytes\":[".utf8)
    bytes.append(contentsOf: piece.map(String.init).joined(separator: ",").utf8)
    bytes.append(UInt8(ascii: "]"))
  }
}
