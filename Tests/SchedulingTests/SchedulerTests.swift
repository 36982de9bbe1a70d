import Foundation
import KVCache
import Scheduling
import ServingTestKit
import ServingTypes
import Testing

@Suite struct SchedulerTests {
  static var scenarios: [URL] {
    let folder = Bundle.module.url(forResource: "Scenarios", withExtension: nil)
    let files = folder.flatMap { try? FileManager.default.contentsOfDirectory(at: $0, includingPropertiesForKeys: nil) }
    return (files ?? []).filter { $0.pathExtension == "txt" }.sorted { $0.path < $1.path }
  }

  @Test func scenariosExist() { #expect(Self.scenarios.count >= 8) }

  @Test(arguments: scenarios) func scenario(_ file: URL) throws {
    do {
      try Scenario.run(try String(contentsOf: file, encoding: .utf8))
    } catch let mismatch as Scenario.Mismatch {
      Issue.record("\(file.lastPathComponent): \(mismatch)")
    }
  }

  /// Everything that comes is served in the end, in whatever order, with few blocks, and the books hold in every step.
  /// With the higher seeds, prompts come from elsewhere as well, sooner or later or not at all.
  @Test(arguments: 0..<40) func everybodyIsServed(seed: Int) throws {
    var random = SplitMix64(seed: UInt64(seed))
    func pick(_ count: Int) -> Int { Int(random.next() % UInt64(count)) }
    let size = 4
    var configuration = SchedulerConfiguration(blockSize: size, maxNumSeqs: 2 + pick(6))
    configuration.maxNumBatchedTokens = 8 + pick(40)
    configuration.prefillChunkSize = 1 + pick(20)
    configuration.enableChunkedPrefill = seed % 3 != 0
    configuration.policy = seed % 2 == 0 ? .fifo : .lifo
    configuration.maxQueueWait = .seconds(1_000_000)
    let scheduler = Scheduler(
      configuration: configuration, pool: BlockPool(blockCount: 12, isCaching: seed % 4 != 1))
    let start = ContinuousClock.now
    var open: [UInt64: (group: SequenceGroup, limit: Int)] = [:]
    var served = 0
    var next: UInt64 = 1
    var steps = 0
    var (reserved, bound): ([SequenceGroup], [SequenceGroup]) = ([], [])
    while next <= 120 || !open.isEmpty {
      steps += 1
      try #require(steps < 60_000, "nobody gets on")
      if next <= 120, pick(3) == 0 {
        let length = 1 + pick(30)
        let chain = TokenID(pick(3)) * 100
        let tokens = (0..<length).map { TokenID($0) + chain }
        let group = SequenceGroup(
          key: next, samples: [[TokenID]](repeating: tokens, count: 1 + pick(2)), prefixCount: length,
          hashes: BlockHash.chain(tokens: tokens, blockSize: size, salt: ""),
          root: BlockHash.root(salt: "", blockSize: size), priority: pick(3), arrival: start + .milliseconds(steps),
          isReceived: seed >= 10 && pick(2) == 0)
        open[next] = (group, min(48, length + 1 + pick(20)))
        scheduler.add(group)
        next += 1
      }
      for sequence in scheduler.running { sequence.drafts = [TokenID](repeating: 1, count: pick(3)) }
      scheduler.schedule(now: start + .milliseconds(steps))
      #expect(scheduler.output.tokenCount <= configuration.maxNumBatchedTokens)
      #expect(scheduler.output.refused.isEmpty)
      let segments = scheduler.output.segments
      #expect(Set(segments.map { ObjectIdentifier($0.sequence) }).count == segments.count)
      for segment in segments {
        let sequence = segment.sequence
        #expect(sequence.table.count * size >= segment.start + segment.count + segment.draftCount)
        scheduler.advance(sequence, to: segment.start + segment.count) { _ in 0 }
        guard segment.logitCount > 0, let entry = open[sequence.group.key] else { continue }
        var fresh = [sequence]
        if !entry.group.isForked {
          scheduler.fork(entry.group)
          fresh = entry.group.sequences
        }
        for sequence in fresh {
          sequence.append(TokenID(sequence.sample))
          if sequence.tokens.count >= entry.limit { scheduler.finish(sequence) }
        }
        if entry.group.unfinishedCount == 0 {
          scheduler.end(entry.group)
          open[entry.group.key] = nil
          served += 1
        }
      }
      reserved += scheduler.output.reserved
      bound += scheduler.output.bound
      let settled = scheduler.output.bound + scheduler.output.withdrawn
      reserved.removeAll { group in settled.contains { $0 === group } }
      for group in reserved where pick(8) == 0 {
        if seed % 2 == 0, pick(6) == 0 {
          scheduler.computeHere(group)
          reserved.removeAll { $0 === group }
        } else {
          #expect(scheduler.requestBlocks(for: group))
        }
      }
      for group in bound where pick(4) == 0 {
        bound.removeAll { $0 === group }
        if pick(6) == 0 {
          scheduler.computeHere(group)
          continue
        }
        for index in group.leader.sealedCount..<group.leader.hashes.count {
          scheduler.commitReceived(group, index: index, checksum: 0)
        }
        scheduler.finishReceiving(group)
        for sequence in group.sequences { sequence.append(TokenID(sequence.sample)) }
      }
      try scheduler.checkIntegrity(pins: 0)
    }
    #expect(served == 120)
    #expect(scheduler.pool.activeCount == 0)
  }

  @Test func chunksApproachTheTargetTime() {
    var costs = StepCostModel()
    #expect(costs.prefillTokens(target: 0.05, decodeTokens: 0) == StepCostModel.initialPrefillTokens)
    // 10 ms to read the weights and 0.5 ms a token: 80 tokens take 50 ms.
    var tokens = 16
    for _ in 0..<60 {
      costs.observe(prefillTokens: tokens, decodeTokens: 0, seconds: 0.010 + 0.0005 * Double(tokens))
      tokens = costs.prefillTokens(target: 0.05, decodeTokens: 0)
    }
    #expect((76...84).contains(tokens))
    // Decodes take their share.
    for count in 1...40 {
      costs.observe(prefillTokens: 0, decodeTokens: 1 + count % 8, seconds: 0.010 + 0.001 * Double(1 + count % 8))
    }
    #expect(costs.prefillTokens(target: 0.05, decodeTokens: 8) < tokens)
    let line = costs.decode.line
    #expect(abs(line.fixed - 0.010) < 0.001 && abs(line.perToken - 0.001) < 0.0002)
  }
}
