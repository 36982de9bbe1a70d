import KVCache
import Scheduling
import ServingTestKit
import ServingTypes
import Testing

@Suite struct FairnessTests {
  private static func configuration(_ policy: BatchSchedulerPolicy, _ fairShare: FairSharePolicy, wait: Duration)
    -> SchedulerConfiguration
  {
    SchedulerConfiguration(
      blockSize: 16, maxNumSeqs: 4, maxNumBatchedTokens: 256, maxQueueWait: wait, policy: policy, fairShare: fairShare)
  }

  /// One tenant always has twenty requests in the queue, the others one each: all get the same tokens.
  @Test func floodsDoNotBuyService() throws {
    var simulation = StepSimulation(Self.configuration(.fifo, .deficitRoundRobin, wait: .seconds(1_000_000)))
    let tenants = ["flood": (20, 64, 40), "short": (3, 16, 8), "long": (3, 300, 100)]
    var served: [String: Int] = [:]
    for step in 0..<8_000 {
      for (tenant, (depth, prompt, output)) in tenants.sorted(by: { $0.key < $1.key }) {
        let waiting = simulation.scheduler.waiting.count { $0.group.tenant == tenant }
        for _ in waiting..<max(waiting, depth) { simulation.add(prompt: prompt, output: output, tenant: tenant) }
      }
      if step == 2_000 { served = simulation.served }
      try simulation.step()
    }
    let shares = tenants.keys.map { Double(simulation.served[$0, default: 0] - served[$0, default: 0]) }
    let mean = shares.reduce(0, +) / 3
    for share in shares { #expect(abs(share / mean - 1) < 0.1, "\(shares)") }
  }

  /// Without fair sharing the flood takes what its place in the queue gives it.
  @Test func withoutFairSharingTheFloodWins() throws {
    var simulation = StepSimulation(Self.configuration(.fifo, .none, wait: .seconds(1_000_000)))
    for _ in 0..<2_000 {
      for (tenant, depth) in [("flood", 20), ("other", 1)] {
        let waiting = simulation.scheduler.waiting.count { $0.group.tenant == tenant }
        for _ in waiting..<max(waiting, depth) { simulation.add(prompt: 64, output: 40, tenant: tenant) }
      }
      try simulation.step()
    }
    #expect(simulation.served["flood", default: 0] > 5 * simulation.served["other", default: 0])
  }

  /// A tenant that had the machine for itself owes nothing when another comes.
  @Test func idleCapacityIsFree() throws {
    var simulation = StepSimulation(Self.configuration(.fifo, .deficitRoundRobin, wait: .seconds(1_000_000)))
    for _ in 0..<2_000 {
      while simulation.scheduler.waiting.count < 10 { simulation.add(prompt: 64, output: 40, tenant: "first") }
      try simulation.step()
    }
    let before = simulation.served["first", default: 0]
    for _ in 0..<2_000 {
      for tenant in ["first", "second"] {
        let waiting = simulation.scheduler.waiting.count { $0.group.tenant == tenant }
        for _ in waiting..<max(waiting, 10) { simulation.add(prompt: 64, output: 40, tenant: tenant) }
      }
      try simulation.step()
    }
    let first = Double(simulation.served["first", default: 0] - before)
    let second = Double(simulation.served["second", default: 0])
    #expect(abs(first / second - 1) < 0.15)
  }

  /// Under every policy a request of the lowest priority, behind a flood that never ends, is served once it is old; a
  /// second's load is a small part of what may wait.
  @Test(arguments: BatchSchedulerPolicy.allCases, FairSharePolicy.allCases)
  func nobodyStarves(policy: BatchSchedulerPolicy, fairShare: FairSharePolicy) throws {
    var simulation = StepSimulation(Self.configuration(policy, fairShare, wait: .seconds(20)))
    for _ in 0..<4 { simulation.add(prompt: 32, output: 10, tenant: "flood", priority: 1) }
    let low = simulation.add(prompt: 32, output: 10, tenant: "flood", priority: 0)
    let other = simulation.add(prompt: 32, output: 10, tenant: "other", priority: 0)
    while simulation.ends[low.key] == nil || simulation.ends[other.key] == nil {
      try #require(simulation.seconds < 20 && simulation.refused.isEmpty)
      if simulation.scheduler.waiting.count < 6 {
        simulation.add(prompt: 32, output: 10, tenant: "flood", priority: 1)
      }
      try simulation.step()
    }
  }

  /// A preempted sequence, which is never refused, ends as well under a flood of higher priority.
  @Test(arguments: FairSharePolicy.allCases) func thePreemptedDoNotStarve(fairShare: FairSharePolicy) throws {
    var configuration = Self.configuration(.fifo, fairShare, wait: .seconds(4))
    configuration.maxNumBatchedTokens = 512
    var simulation = StepSimulation(configuration, blocks: 24)
    let low = simulation.add(prompt: 150, output: 100)
    try simulation.step()
    while simulation.ends[low.key] == nil {
      try #require(simulation.seconds < 60)
      if simulation.scheduler.waiting.count < 3 { simulation.add(prompt: 100, output: 60, priority: 1) }
      try simulation.step()
    }
    #expect(simulation.scheduler.preemptionCount > 0)
  }

  /// Random loads on a tiny pool: every request ends or is refused for its age, and the books hold after each step.
  @Test(arguments: 0..<60) func everythingEndsOrIsRefused(seed: Int) throws {
    var random = SplitMix64(seed: UInt64(seed) &+ 1_000)
    func pick(_ count: Int) -> Int { Int(random.next() % UInt64(count)) }
    let blocks = 8 + pick(16)
    var configuration = SchedulerConfiguration(blockSize: 4, maxNumSeqs: 4 + pick(5))
    configuration.maxNumBatchedTokens = 4 + pick(40)
    configuration.maxPrefillTokens = 4 + pick(40)
    configuration.prefillChunkSize = 1 + pick(20)
    configuration.enableChunkedPrefill = pick(3) > 0
    configuration.targetStepTime = .milliseconds(pick(3) * 10)
    configuration.policy = pick(2) == 0 ? .fifo : .lifo
    configuration.fairShare = pick(2) == 0 ? .none : .deficitRoundRobin
    configuration.fairShareQuantum = 1 + pick(40)
    configuration.maxQueueWait = .milliseconds(pick(2) == 0 ? 400 : 1_000_000)
    configuration.slicedChunkSize = pick(2) * (1 + pick(40))
    var simulation = StepSimulation(
      configuration, cost: StepSimulation.Cost(jitter: 0.3), blocks: blocks, isCaching: pick(4) > 0)
    var groups: [SequenceGroup] = []
    var cancelled: Set<UInt64> = []
    while groups.count < 150 {
      if pick(3) == 0 {
        let prompt = 1 + pick(blocks * 2)
        groups.append(
          simulation.add(
            prompt: prompt, output: 1 + pick(blocks * 4 - prompt), tenant: "\(pick(4))", priority: pick(3),
            samples: 1 + pick(4)))
      }
      if pick(40) == 0, let group = groups.randomElement(using: &random), simulation.open.contains(group.key) {
        simulation.cancel(group)
        cancelled.insert(group.key)
      }
      simulation.draftCount = pick(4)
      try simulation.step()
    }
    try simulation.run { $0.isIdle }
    let keys = Set(groups.map(\.key))
    #expect(Set(simulation.ends.keys).union(simulation.refused).union(cancelled) == keys)
    #expect(configuration.maxQueueWait < .seconds(1) || simulation.refused.isEmpty)
    #expect(simulation.scheduler.pool.activeCount == 0)
    try simulation.scheduler.checkIntegrity(pins: 0)
  }

  /// The victim is of the lowest priority, and among equals the youngest.
  @Test func theVictimIsTheLowestAndYoungest() throws {
    let configuration = SchedulerConfiguration(blockSize: 4, maxNumSeqs: 8)
    var simulation = StepSimulation(configuration, blocks: 12)
    let first = simulation.add(prompt: 6, output: 42, priority: 1)
    let second = simulation.add(prompt: 6, output: 30)
    let third = simulation.add(prompt: 6, output: 30, priority: 1)
    let fourth = simulation.add(prompt: 6, output: 30)
    var victims: [UInt64] = []
    try simulation.run { current in
      victims += current.scheduler.output.preempted.map(\.group.key)
      return current.ends[first.key] != nil
    }
    #expect(victims.prefix(3) == [fourth.key, second.key, third.key])
    try simulation.run { $0.isIdle }
  }
}
