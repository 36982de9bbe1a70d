import KVCache
import Scheduling
import ServingTestKit
import ServingTypes
import Testing

/// Each parameter of the scheduler, as docs/tuning.md lists them, and what it changes.
@Suite struct ParameterTests {
  private static let plain = SchedulerConfiguration(
    blockSize: 16, maxNumSeqs: 16, maxQueueWait: .seconds(1_000_000))

  private func simulation(
    blocks: Int = 1024, _ change: (inout SchedulerConfiguration) -> Void
  ) -> StepSimulation {
    var configuration = Self.plain
    change(&configuration)
    return StepSimulation(configuration, blocks: blocks)
  }

  @Test func maxNumSeqs() throws {
    for limit in [1, 3, 8] {
      var simulation = simulation { $0.maxNumSeqs = limit }
      for _ in 0..<10 { simulation.add(prompt: 20, output: 5) }
      var most = 0
      try simulation.run {
        most = max(most, $0.scheduler.running.count)
        return $0.isIdle
      }
      #expect(most == limit)
    }
  }

  @Test func maxNumBatchedTokens() throws {
    for limit in [7, 40, 100] {
      var simulation = simulation { $0.maxNumBatchedTokens = limit }
      for _ in 0..<10 { simulation.add(prompt: 50, output: 5) }
      var most = 0
      try simulation.run {
        most = max(most, $0.scheduler.output.tokenCount)
        return $0.isIdle
      }
      #expect(most == limit)
    }
  }

  @Test func maxPrefillTokens() throws {
    for limit in [16, 64] {
      var simulation = simulation { $0.maxPrefillTokens = limit }
      for _ in 0..<10 { simulation.add(prompt: 50, output: 5) }
      var (most, all) = (0, 0)
      try simulation.run {
        most = max(most, $0.scheduler.output.prefillTokens)
        all = max(all, $0.scheduler.output.tokenCount)
        return $0.isIdle
      }
      #expect(most == limit && all > limit)
    }
  }

  @Test func prefillChunkSize() throws {
    for size in [16, 48, 1024] {
      var simulation = simulation { $0.prefillChunkSize = size }
      simulation.add(prompt: 100, output: 1)
      simulation.add(prompt: 100, output: 1)
      try simulation.step()
      #expect(simulation.scheduler.output.segments.map(\.count) == [min(size, 100), min(size, 100)])
    }
  }

  @Test func handoffChunkSize() throws {
    for size in [16, 64] {
      var configuration = Self.plain
      configuration.handoffChunkSize = size
      let scheduler = Scheduler(configuration: configuration, pool: BlockPool(blockCount: 64))
      let tokens = (0..<200).map { TokenID($0) }
      for (key, isLent) in [(1, true), (2, false)] as [(UInt64, Bool)] {
        scheduler.add(
          SequenceGroup(
            key: key, samples: [tokens.map { $0 + TokenID(key) * 1000 }], prefixCount: 200, hashes: [],
            root: BlockHash.root(salt: "", blockSize: 16), arrival: .now, isLent: isLent))
      }
      scheduler.schedule(now: .now)
      #expect(scheduler.output.segments.map(\.count) == [size, 200])
    }
  }

  @Test func enableChunkedPrefill() throws {
    for isChunked in [true, false] {
      var simulation = simulation {
        $0.enableChunkedPrefill = isChunked
        $0.maxNumBatchedTokens = 216
        $0.prefillChunkSize = 64
      }
      let group = simulation.add(prompt: 200, output: 1)
      try simulation.step()
      #expect((simulation.ends[group.key] != nil) == !isChunked)
    }
  }

  @Test func targetStepTime() throws {
    var times: [Double] = []
    for milliseconds in [5, 20, 80] {
      var simulation = simulation {
        $0.targetStepTime = .milliseconds(milliseconds)
        $0.prefillChunkSize = 8192
      }
      simulation.add(prompt: 4_000, output: 1)
      var steps = 0.0
      try simulation.run {
        steps += 1
        return $0.isIdle
      }
      times.append(simulation.seconds / steps)
      // With nobody waiting for a token a step takes up to four times as long.
      #expect(times[times.count - 1] < 4.2 * Double(milliseconds) / 1000)
    }
    #expect(times[0] * 2 < times[1] && times[1] * 2 < times[2])
  }

  @Test func maxQueueWait() throws {
    for wait in [1, 5] {
      var simulation = simulation {
        $0.maxNumSeqs = 1
        $0.maxQueueWait = .seconds(wait)
      }
      simulation.add(prompt: 20, output: 100_000)
      let waiting = simulation.add(prompt: 20, output: 1)
      try simulation.run { !$0.refused.isEmpty }
      #expect(simulation.refused == [waiting.key])
      #expect(abs(simulation.seconds - Double(wait)) < 0.1)
    }
  }

  @Test func batchSchedulerPolicy() throws {
    for policy in BatchSchedulerPolicy.allCases {
      var simulation = simulation {
        $0.maxNumSeqs = 1
        $0.policy = policy
      }
      let groups = (0..<3).map { _ in simulation.add(prompt: 20, output: 2) }
      try simulation.run { $0.isIdle }
      let order = groups.map(\.key).sorted { simulation.ends[$0, default: 0] < simulation.ends[$1, default: 0] }
      #expect(order == (policy == .fifo ? groups.map(\.key) : groups.map(\.key).reversed()))
    }
  }

  @Test func fairSharePolicy() throws {
    for policy in FairSharePolicy.allCases {
      var simulation = simulation {
        $0.maxNumSeqs = 1
        $0.fairShare = policy
      }
      let flood = (0..<30).map { _ in simulation.add(prompt: 100, output: 2, tenant: "flood") }
      let other = simulation.add(prompt: 100, output: 2, tenant: "other")
      try simulation.run { $0.isIdle }
      let before = flood.count { simulation.ends[$0.key, default: 0] < simulation.ends[other.key, default: 0] }
      // A quantum is 512 tokens.
      #expect(policy == .none ? before == 30 : before <= 6)
    }
  }

  @Test func schedulingInterval() {
    let start = ContinuousClock.now
    let paced = StepPacing(interval: .milliseconds(20))
    #expect(paced.pause(after: start, now: start + .milliseconds(5)) == .milliseconds(15))
    #expect(paced.pause(after: start, now: start + .milliseconds(30)) == .zero)
    #expect(StepPacing().pause(after: start, now: start) == .zero)
  }

  @Test func batchMergeWindow() {
    let pacing = StepPacing(mergeWindow: .milliseconds(3))
    #expect(pacing.companyWait(wasIdle: true, hasArrival: true) == .milliseconds(3))
    #expect(pacing.companyWait(wasIdle: false, hasArrival: true) == .zero)
    #expect(pacing.companyWait(wasIdle: true, hasArrival: false) == .zero)
  }

  /// Samples share the prompt's blocks, full and unfinished; each first write into the unfinished one but the last copies it.
  @Test(arguments: [(32, 0), (40, 1)]) func samplesCopyOnFirstWriteOnly(prompt: Int, unfinished: Int) throws {
    for samples in [1, 2, 5] {
      var simulation = simulation { _ in }
      let group = simulation.add(prompt: prompt, output: 6, samples: samples)
      try simulation.step()
      let tables = group.sequences.map(\.table.blocks)
      #expect(Set(tables).count == 1)
      #expect(tables[0].allSatisfy { simulation.scheduler.pool[$0].referenceCount == Int32(samples) })
      #expect(simulation.scheduler.copyOnWriteCopies == 0)
      try simulation.step()
      #expect(simulation.scheduler.output.copies.count == unfinished * (samples - 1))
      let shared = prompt / 16
      for sequence in group.sequences { #expect(sequence.table.blocks.prefix(shared) == tables[0].prefix(shared)) }
      #expect(Set(group.sequences.map { $0.table[shared] }).count == samples)
      try simulation.run { $0.isIdle }
      #expect(simulation.scheduler.copyOnWriteCopies == UInt64(unfinished * (samples - 1)))
      #expect(simulation.scheduler.pool.activeCount == 0)
    }
  }
}
