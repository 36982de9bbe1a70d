import ServingProtos
import ServingTypes

/// The tokens that each sample already has, as they travel when a request moves.
public func wireSamples(_ generated: [[TokenID]]) -> [Baton_V1_Sample] {
  generated.map { tokens in
    var sample = Baton_V1_Sample()
    sample.tokens = wireTokens(tokens)
    return sample
  }
}

/// The tokens that each sample already has. None at all means that the request begins here.
/// - Throws: `invalidArgument` when there are samples, but not `n`, or an id is no token id.
public func generatedTokens(_ samples: [Baton_V1_Sample], n: Int) throws(ServingError) -> [[TokenID]] {
  guard samples.isEmpty || samples.count == n else {
    throw ServingError(
      .invalidArgument, "generated has \(samples.count) samples; there must be none or n, which is \(n)")
  }
  var result: [[TokenID]] = []
  result.reserveCapacity(samples.count)
  for (index, sample) in samples.enumerated() {
    result.append(try tokenIDs(sample.tokens, field: "generated[\(index)].tokens"))
  }
  return result
}
