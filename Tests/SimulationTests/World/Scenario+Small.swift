import DecodeServer
import Engine
import Routing
import ServingTypes

extension Scenario {
  /// One request of a few blocks with all the time it needs, for going through all faults: only they differ.
  init(faults: [Fault]) {
    self.init(seed: 7)
    blockSize = 4
    prefillWorkers = 2
    decodeWorkers = 2
    prefillBlocks = 16
    decodeBlocks = 16
    latency = .microseconds(200)...(.microseconds(300))
    stepTime = .milliseconds(1)...(.milliseconds(2))
    window = 4
    restartDelay = .milliseconds(50)...(.milliseconds(100))
    changesWeights = false
    diesSilently = false
    directory = .sound
    engine.enablePrefixCaching = true
    engine.handoffChunkSize = 4
    engine.enableSpecDecode = false
    decode.creditWindow = 2
    requests = [
      PlannedRequest(
        id: 0, prompt: [3, 1, 4, 1, 5, 9, 2, 6, 5],
        sampling: SamplingParameters(seed: 5, maxTokens: 3, ignoreEOS: true),
        salt: "", start: .zero, deadline: .seconds(90), leaves: nil, reading: .zero,
        isDelivered: faults.reduce(0) { $0 + $1.message } % 2 == 0)
    ]
    origin = "one request with \(faults)"
    self.faults = faults.map { Fault(kind: $0.kind, message: $0.message, isExact: true) }
  }

  /// A worker, mostly the only one that decodes, dies amid an answer and is back at once, perhaps with other weights, while the
  /// router still has its old lease: nothing but the incarnation tells the two lives apart.
  init(staleRestartAt message: Int, seed: UInt64) {
    self.init(faults: [Fault(kind: .crashSender, message: message)])
    self.seed = seed
    origin = "a stale restart at message \(message), seed \(seed)"
    prefillWorkers = 1
    decodeWorkers = 1
    restartDelay = .milliseconds(2)...(.milliseconds(4))
    changesWeights = true
    directory = .stale
    requests[0].sampling.maxTokens = 10
  }

  /// Each message of such an answer, with several seeds.
  static var staleRestarts: [Scenario] {
    (0..<40).flatMap { message in
      (UInt64(0)..<4).map { Scenario(staleRestartAt: message, seed: 100 * UInt64(message) + $0) }
    }
  }

  /// Each fault at each message of a request that goes through two workers.
  static var singleFaults: [Scenario] {
    (0..<20).flatMap { message in FaultKind.allCases.map { Scenario(faults: [Fault(kind: $0, message: message)]) } }
  }

  /// The same with faults put into the code.
  func with(_ mutants: Mutants) -> Scenario {
    var scenario = self
    scenario.mutants = mutants
    scenario.engine.mutants = mutants
    scenario.decode.mutants = mutants
    scenario.routing.mutants = mutants
    return scenario
  }
}
