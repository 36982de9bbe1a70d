import DecodeServer
import Engine
import Routing
import ServingTypes

extension Scenario {
  /// A schedule's beginning: one to four requests, no to four faults.
  init(seed: UInt64) {
    var random = SplitMix64(seed: seed ^ 0xBA70_0000_0000_0001)
    func pick<Value>(_ values: [Value]) -> Value { values[Int.random(in: 0..<values.count, using: &random)] }
    func number(_ range: ClosedRange<Int>) -> Int { Int.random(in: range, using: &random) }
    func chance(_ count: Int) -> Bool { number(1...count) == 1 }

    self.seed = seed
    origin = Replay.line(seed)
    let blockSize = pick([4, 4, 8])
    self.blockSize = blockSize
    prefillWorkers = number(1...2)
    decodeWorkers = number(1...2)
    latency = pick([.microseconds(50)...(.microseconds(500)), .microseconds(100)...(.milliseconds(20))])
    stepTime = pick([.microseconds(100)...(.milliseconds(2)), .milliseconds(1)...(.milliseconds(30))])
    window = number(1...6)
    restartDelay = pick([.milliseconds(5)...(.milliseconds(200)), .milliseconds(100)...(.seconds(6))])
    diesSilently = chance(4)
    changesWeights = chance(4)
    directory = chance(2) ? .sound : pick(DirectoryMood.allCases)
    faults = []
    for _ in 0..<pick([0, 1, 1, 1, 2, 2, 3, 4]) {
      faults.append(Fault(kind: pick(FaultKind.allCases), message: number(0...(chance(3) ? 80 : 30))))
    }

    requests = []
    let systems = (0..<2).map { _ in (0..<number(0...4) * blockSize).map { _ in TokenID(number(0...25)) } }
    var start = Duration.zero
    for id in 0..<pick([1, 1, 2, 2, 3, 4]) {
      var prompt = pick(systems)
      let blocks = max(0, number(1...6) - prompt.count / blockSize)
      for _ in 0..<blocks * blockSize + number(0...blockSize - 1) { prompt.append(TokenID(number(0...25))) }
      if prompt.isEmpty { prompt = [1] }
      var sampling = SamplingParameters(
        temperature: chance(2) ? 0 : 0.9, seed: random.next(), maxTokens: number(1...10), ignoreEOS: chance(2))
      sampling.n = chance(5) ? 2 : 1
      if chance(6) { sampling.stop = [pick(["a", "b", "é", "ab"])] }
      if chance(6) { sampling.repetitionPenalty = 1.3 }
      sampling.speculative = !chance(3)
      requests.append(
        PlannedRequest(
          id: id, prompt: prompt, sampling: sampling, salt: chance(8) ? "other" : "", start: start,
          deadline: chance(6) ? .milliseconds(number(5...3000)) : .seconds(90),
          leaves: chance(8) ? .milliseconds(number(0...400)) : nil,
          reading: chance(5) ? .milliseconds(number(1...200)) : .zero, isDelivered: (seed ^ UInt64(id)) % 4 < 2))
      start += .milliseconds(chance(2) ? number(0...10) : number(0...2500))
    }

    let longest = (requests.map { $0.prompt.count + 10 * $0.sampling.n }.max() ?? 0) / blockSize + 2
    prefillBlocks = chance(2) ? longest + number(0...3) : 64
    decodeBlocks = chance(3) ? longest + number(0...4) : 64
    engine = EngineConfiguration(
      enablePrefixCaching: !chance(8), maxNumSeqs: 8, maxNumBatchedTokens: 64, maxPrefillTokens: 48,
      prefillChunkSize: pick([blockSize, 12, 32]), handoffChunkSize: pick([blockSize, blockSize, 12]),
      targetStepTime: .zero, maxQueueWait: .seconds(60), enableSpecDecode: chance(2), numSpeculativeTokens: 3,
      adaptsDraftLength: false, checkIntegrityOnIdle: true)
    engine.fetchMinBlocks = 1
    decode = DecodeConfiguration(
      creditWindow: number(1...4), connectTimeout: .seconds(2), queueTimeout: .seconds(6), stallTimeout: .seconds(3),
      localPrefillTokens: 0)
    routing = RoutingConfiguration()
    routing.localPrefillTokens = 0
    routing.numSchedulerThreads = 0
    routing.refreshInterval = .seconds(1)
    routing.updateBacklog = number(1...4)
    routing.migrationWait = .seconds(20)
    routing.requestTimeout = .seconds(90)
  }
}
