import Directory
import ServingTypes

let digest = String(repeating: "ab", count: 16)

func record(
  _ name: String, incarnation: UInt64 = 1, role: WorkerRole = .decode, epoch: Int = 0
) -> WorkerRecord {
  WorkerRecord(
    reference: WorkerReference(
      id: WorkerID(name), address: "unix:/tmp/\(name)", incarnation: Incarnation(incarnation)),
    role: role, model: "model", layoutDigest: digest, blockSize: 16, blockCount: 100, maximumModelLength: 2048,
    load: WorkerLoad(pendingPrefillTokens: 1, runningSequences: 2, waitingSequences: 3, activeBlocks: 4), epoch: epoch)
}

/// The blocks of a prompt of so many full blocks; `seed` tells prompts apart.
func chain(_ count: Int, seed: TokenID = 0, tier: (Int) -> CacheTier = { _ in .device }) -> [CachedBlock] {
  let tokens = (0..<TokenID(count * 16)).map { $0 &* 7 &+ seed &* 1_000_003 }
  let hashes = BlockHash.chain(tokens: tokens, blockSize: 16, salt: "")
  return hashes.enumerated().map { index, hash in
    CachedBlock(hash: hash, chain: hashes[0], depth: index, tier: tier(index))
  }
}

func announcing(_ name: String, incarnation: UInt64 = 1, epoch: Int = 0) -> AnnouncingWorker {
  AnnouncingWorker(
    worker: WorkerID(name), incarnation: Incarnation(incarnation), epoch: epoch, layoutDigest: digest)
}

func query(_ blocks: [CachedBlock], _ holders: [(name: String, incarnation: UInt64, epoch: Int)]) -> PrefixQuery {
  PrefixQuery(
    layoutDigest: digest, hashes: blocks.map(\.hash),
    holders: holders.map {
      PrefixQuery.Holder(worker: WorkerID($0.name), incarnation: Incarnation($0.incarnation), epoch: $0.epoch)
    })
}

extension BlockDirectory {
  /// Leading blocks in all tiers.
  func depths(
    _ blocks: [CachedBlock], _ holders: [(name: String, incarnation: UInt64, epoch: Int)]
  ) async throws -> [String: Int] {
    let found = try await longestPrefixes(query(blocks, holders))
    return Dictionary(uniqueKeysWithValues: found.map { ($0.key.value, $0.value.blocks) })
  }
}
