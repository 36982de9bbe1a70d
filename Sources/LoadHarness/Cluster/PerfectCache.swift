import ServingTypes

/// One cache for all, without end and without delay: what no cluster can find more than.
public struct PerfectCache: Sendable {
  private let blockSize: Int
  private var blocks: Set<BlockHash> = []

  public init(blockSize: Int) { self.blockSize = blockSize }

  /// Prompt tokens that lie in full blocks of what was said before; the last token has to be computed in any case.
  public func cachedTokens(of prompt: [TokenID], salt: String) -> Int {
    let hashes = BlockHash.chain(tokens: prompt, blockSize: blockSize, salt: salt).prefix(
      (prompt.count - 1) / blockSize)
    return (hashes.firstIndex { !blocks.contains($0) } ?? hashes.count) * blockSize
  }

  /// Keeps a prompt with its answer.
  public mutating func insert(_ tokens: [TokenID], salt: String) {
    blocks.formUnion(BlockHash.chain(tokens: tokens, blockSize: blockSize, salt: salt))
  }

  /// The share of the prompts' tokens that are found, each request knowing all earlier ones.
  ///
  /// - Parameter start: seconds; requests of the trace before it are known, but not counted.
  public static func hitRate(of results: [ClusterResult], blockSize: Int, from start: Double = 0) -> Double {
    var cache = PerfectCache(blockSize: blockSize)
    var (cached, total) = (0, 0)
    for result in results.sorted(by: { $0.submitted < $1.submitted }) where result.failure == nil {
      if result.request.arrival >= start {
        cached += cache.cachedTokens(of: result.prompt, salt: result.request.tenantName)
        total += result.prompt.count
      }
      cache.insert(result.prompt + result.tokens, salt: result.request.tenantName)
    }
    return total == 0 ? 0 : Double(cached) / Double(total)
  }
}
