import Observability
import ServingTypes

/// Writes the log-probabilities of a prompt's own tokens as vLLM has them: for each an object by token id, null for the first.
struct PromptLogprobsEncoder {
  let tokenBytes: @Sendable (TokenID) -> [UInt8]

  /// - Parameters:
  ///   - tokens: the prompt's from the second on.
  ///   - count: of the likeliest tokens, so many with each.
  func append(_ tokens: [GeneratedToken], count: Int, to bytes: inout [UInt8]) {
    bytes.append(contentsOf: ",\"prompt_logprobs\":[null".utf8)
    for token in tokens {
      bytes.append(contentsOf: ",{".utf8)
      let top = token.top.prefix(count)
      var isFirst = true
      for (place, entry) in top.enumerated() {
        append(entry, rank: place + 1, isFirst: &isFirst, to: &bytes)
      }
      if let logprob = token.logprob, !top.contains(where: { $0.token == token.id }) {
        let rank = token.top.firstIndex { $0.token == token.id }.map { $0 + 1 }
        append(TokenLogprob(token: token.id, logprob: logprob), rank: rank, isFirst: &isFirst, to: &bytes)
      }
      bytes.append(UInt8(ascii: "}"))
    }
    bytes.append(UInt8(ascii: "]"))
  }

  /// - Parameter rank: from 1 for the likeliest; nil where it is beyond those that were asked for.
  private func append(_ entry: TokenLogprob, rank: Int?, isFirst: inout Bool, to bytes: inout [UInt8]) {
    if !isFirst { bytes.append(UInt8(ascii: ",")) }
    isFirst = false
    let rank = rank.map(String.init) ?? "null"
    bytes.append(contentsOf: "\"\(entry.token)\":{\"logprob\":\(TokenText.finite(entry.logprob)),\"rank\":\(rank)".utf8)
    bytes.append(contentsOf: ",\"decoded_token\":".utf8)
    JSONText.append(TokenText.readable(tokenBytes(entry.token)), to: &bytes)
    bytes.append(UInt8(ascii: "}"))
  }
}
