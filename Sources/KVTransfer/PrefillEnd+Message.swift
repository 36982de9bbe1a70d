import Engine
import RPC
import ServingProtos
import ServingTypes

extension Baton_V1_End {
  init(_ end: PrefillEnd) {
    self.init()
    firstTokens = end.firstTokens.map { first in
      .with {
        $0.sample = UInt32(clamping: first.sample)
        $0.token = Baton_V1_Token(first.token)
        $0.finishReason = Baton_V1_FinishReason(first.finish)
      }
    }
    computedTokens = UInt32(clamping: end.computedTokens)
    cachedTokens = UInt32(clamping: end.cachedTokens)
    queueSeconds = end.queueSeconds
    prefillSeconds = end.prefillSeconds
    fetchedBlocks = UInt32(clamping: end.fetchedBlocks)
    fetchSeconds = end.fetchSeconds
  }
}

extension PrefillEnd {
  /// - Throws: `dataLoss` when a token or a finish reason is out of range.
  init(_ end: Baton_V1_End) throws(ServingError) {
    var firstTokens: [FirstToken] = []
    for first in end.firstTokens {
      guard first.hasToken else { throw ServingError(.dataLoss, "end.first_tokens.token is missing") }
      firstTokens.append(
        FirstToken(
          sample: Int(first.sample), token: try GeneratedToken(first.token),
          finish: try FinishReason.decode(first.finishReason)))
    }
    self.init(
      firstTokens: firstTokens, computedTokens: Int(end.computedTokens), cachedTokens: Int(end.cachedTokens),
      fetchedBlocks: Int(end.fetchedBlocks), fetchSeconds: end.fetchSeconds, queueSeconds: end.queueSeconds,
      prefillSeconds: end.prefillSeconds)
  }
}
