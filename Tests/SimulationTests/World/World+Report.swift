import DecodeServer
import Directory
import Engine
import PrefillServer
import ServingTestKit
import ServingTypes

// What a schedule has to come to.
extension World {
  /// Each request's answer by one engine without faults, for each weights that a worker may have.
  func expectedAnswers() async -> [[Answer]] {
    var answers = scenario.requests.map { _ in [Answer]() }
    let node = simulation.makeNode()
    for weights in 0...(scenario.changesWeights ? 1 : 0) {
      do {
        let engine = try scenario.makeEngine(blockCount: 512, weights: weights, clock: clock)
        simulation.drive(engine, on: node, stepTime: .zero ... .zero)
        for (index, request) in scenario.requests.enumerated() {
          answers[index].append(try await Self.answer(request, by: engine))
        }
        simulation.retire(engine)
      } catch {
        findings.fail("no answer to compare with: \(error)")
      }
    }
    return answers
  }

  private static func answer(_ request: PlannedRequest, by engine: EngineCore) async throws -> Answer {
    let sampling = request.sampling
    var answer = Answer(samples: sampling.n)
    var texts = (0..<sampling.n).map { _ in
      SampleText(tokenizer: Scenario.vocabulary, stop: sampling.stop, minTokens: sampling.minTokens)
    }
    let handle = try engine.generate(
      EngineRequest(
        id: RequestID("reference"), prompt: request.prompt, sampling: sampling, cacheSalt: request.salt))
    for try await event in handle.events {
      guard case .tokens(let sample, let tokens, let finish) = event else { continue }
      let update = texts[sample].append(tokens, finish: finish)
      answer.tokens[sample] += update.tokens.map(\.id)
      answer.texts[sample] += update.text
      if let finish = update.finish { answer.finishes[sample] = finish }
    }
    return answer
  }

  func report(_ outcomes: [Outcome], _ expected: [[Answer]]) -> Report {
    var report = Report(seed: scenario.seed, failures: [])
    let applied = network.applied
    // What happens to hand-offs costs time, and never an answer.
    let isHarmless =
      scenario.isGentle && network.appliedToDecode == 0
      && applied[.crashReceiver] == nil && applied[.crashSender] == nil && applied[.freeze] == nil
    // Death is normal: up to so many of anything else cost a pause. Machines that vanish without a word cost tries as well.
    let isSurvivable =
      scenario.isGentle && !scenario.diesSilently && network.insurmountable == 0
      && applied.values.reduce(0, +) <= scenario.routing.maximumMigrations
    for outcome in outcomes {
      let request = outcome.request
      let answers = expected[request.id]
      if let error = outcome.error {
        if error.code == .cancelled { report.cancelled += 1 } else { report.errors += 1 }
        if !answers.contains(where: { outcome.answer.begins($0) }) {
          findings.fail("request \(request.id) ended with \(error), after \(outcome.answer) where \(answers) was right")
        }
        if isHarmless || isSurvivable, request.leaves == nil, request.deadline >= .seconds(60) {
          findings.fail("request \(request.id) ended with \(error), though it could go on: \(applied)")
        }
        report.codes[error.code, default: 0] += 1
        if error.code == .cancelled, request.leaves == nil {
          findings.fail("request \(request.id) was cancelled, though its client stayed: \(error)")
        }
      } else {
        report.right += 1
        if !answers.contains(outcome.answer) {
          findings.fail("request \(request.id) was answered by \(outcome.answer) where \(answers) was right")
        }
      }
      let slack = Duration.seconds(5) + request.reading * 10
      if outcome.took > request.deadline + slack {
        findings.fail("request \(request.id) took \(outcome.took), with a deadline of \(request.deadline)")
      }
    }
    let isHonest = applied.keys.allSatisfy { !$0.breaksStream }
    if isHonest,
      let error = findings.handoffErrors.first(where: { $0.contains("dataLoss") || $0.contains("invalidArgument") })
    {
      findings.fail("a hand-off broke though the network kept its word: \(error)")
    }
    if network.unpaidBlocks > 0 { findings.fail("\(network.unpaidBlocks) blocks left without credit") }
    if simulation.strays > 0 { findings.fail("\(simulation.strays) jobs left the simulation") }
    report.faults = applied
    report.failures = findings.failures
    report.messages = network.messages
    report.fetches = network.fetches
    report.steps = simulation.steps
    report.digest = simulation.digest
    return report
  }

  static func record(_ engine: EngineCore, _ worker: WorkerState, _ role: WorkerRole) -> WorkerRecord {
    let statistics = engine.statistics
    return WorkerRecord(
      reference: worker.reference, role: role, model: model, layoutDigest: engine.layout.digest,
      blockSize: engine.layout.blockSize, blockCount: engine.blockCount,
      maximumModelLength: engine.maximumContextLength,
      load: WorkerLoad(
        pendingPrefillTokens: statistics.pendingPrefillTokens, runningSequences: statistics.runningSequences,
        waitingSequences: statistics.waitingSequences, activeBlocks: statistics.activeBlocks))
  }
}

extension Scenario {
  /// Of a simulated model's blocks.
  static let tokenBytes = 16

  func makeEngine(blockCount: Int, weights: Int, clock: ServingClock) throws -> EngineCore {
    try EngineCore(
      executor: SimulatedExecutor(
        blockCount: blockCount, blockSize: blockSize, vocabularySize: Self.vocabulary.vocabularySize,
        maximumContextLength: Self.longestContext, endOfGenerationTokens: [LetterTokenizer.end],
        text: seed % 2 == 0 ? .random : .repeating(period: 3), model: "weights-\(weights)", weights: UInt64(weights)),
      configuration: engine, clock: clock)
  }
}
