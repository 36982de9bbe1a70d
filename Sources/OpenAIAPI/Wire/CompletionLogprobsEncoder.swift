import Observability
import ServingTypes

/// Writes log-probabilities as `/v1/completions` has them: parallel arrays.
struct CompletionLogprobsEncoder {
  let tokenBytes: @Sendable (TokenID) -> [UInt8]

  /// - Parameter offset: Unicode scalars before the first token; advanced past the last.
  func append(_ tokens: [GeneratedToken], offset: inout Int, to bytes: inout [UInt8]) {
    let pieces = tokens.map { tokenBytes($0.id) }
    bytes.append(contentsOf: "{\"tokens\":".utf8)
    appendArray(pieces, to: &bytes) { piece, bytes in JSONText.append(TokenText.readable(piece), to: &bytes) }
    bytes.append(contentsOf: ",\"token_logprobs\":".utf8)
    appendArray(tokens, to: &bytes) { token, bytes in
      bytes.append(contentsOf: (token.logprob.map { TokenText.finite($0).description } ?? "null").utf8)
    }
    bytes.append(contentsOf: ",\"top_logprobs\":".utf8)
    appendArray(tokens, to: &bytes) { token, bytes in
      // Nothing comes before a prompt's first token.
      if token.logprob == nil { bytes.append(contentsOf: "null".utf8) } else { appendTop(token, to: &bytes) }
    }
    bytes.append(contentsOf: ",\"text_offset\":".utf8)
    appendArray(pieces, to: &bytes) { piece, bytes in
      JSONText.append(offset, to: &bytes)
      offset += TokenText.scalarCount(piece)
    }
    bytes.append(UInt8(ascii: "}"))
  }

  /// An object by token text, the chosen token included; of two tokens with one text the likelier stays.
  private func appendTop(_ token: GeneratedToken, to bytes: inout [UInt8]) {
    var seen: Set<String> = []
    bytes.append(UInt8(ascii: "{"))
    let chosen = token.logprob.map { [TokenLogprob(token: token.id, logprob: $0)] } ?? []
    let rest = chosen.filter { own in !token.top.contains { $0.token == own.token } }
    for entry in (token.top + rest).sorted(by: { $0.logprob > $1.logprob }) {
      let text = TokenText.readable(tokenBytes(entry.token))
      guard seen.insert(text).inserted else { continue }
      if seen.count > 1 { bytes.append(UInt8(ascii: ",")) }
      JSONText.append(text, to: &bytes)
      bytes.append(contentsOf: ":\(TokenText.finite(entry.logprob))".utf8)
    }
    bytes.append(UInt8(ascii: "}"))
  }

  private func appendArray<Element>(
    _ elements: [Element], to bytes: inout [UInt8], _ body: (Element, inout [UInt8]) -> Void
  ) {
    bytes.append(UInt8(ascii: "["))
    for (index, element) in elements.enumerated() {
      if index > 0 { bytes.append(UInt8(ascii: ",")) }
      body(element, &bytes)
    }
    bytes.append(UInt8(ascii: "]"))
  }
}
