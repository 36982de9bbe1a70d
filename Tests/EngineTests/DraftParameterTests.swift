import Engine
import ServingTestKit
import ServingTypes
import Testing

/// That the parameters of drafting reach it, and that an engine drafts only where it pays: by the drafts that its steps hold. Engines that are
/// turned by hand, whose time goes by for computing alone.
@Suite struct DraftParameterTests {
  private func setup(drafts: Int = 4) -> Setup {
    var setup = Setup()
    setup.text = .repeating(period: 6)
    setup.configuration.numSpeculativeTokens = drafts
    return setup
  }

  /// For each step that decodes `batch` sequences, the drafts of each.
  private func drafts(_ notes: NotingExecutor.Notes, promptLength: Int, batch: Int) -> [[Int]] {
    notes.steps.filter { $0.count == batch && $0.allSatisfy { $0.start >= promptLength } }
      .map { $0.map { $0.tokens.count - 1 } }
  }

  private func average(_ steps: some Collection<[Int]>) -> Double {
    let all = steps.flatMap { $0 }
    return all.isEmpty ? -1 : Double(all.reduce(0, +)) / Double(all.count)
  }

  @Test(arguments: SpeculationMethod.allCases, [true, false]) func enableSpecDecode(
    method: SpeculationMethod, isEnabled: Bool
  ) async throws {
    var setup = setup()
    setup.draft = .init(text: .repeating(period: 12))
    setup.configuration.specMethod = method
    setup.configuration.enableSpecDecode = isEnabled
    let notes = NotingExecutor.Notes()
    let engine = try setup.engine(notes: notes)
    let request = EngineRequest(prompt: prompt(30), sampling: greedy(100))
    let handle = try engine.generate(request)
    turn(engine)
    let outcome = try await collect(handle)
    #expect(outcome.tokens[0] == (try setup.reference(request, count: 100)))
    let statistics = engine.statistics
    #expect((statistics.draftedTokens > 0) == isEnabled && (statistics.acceptedTokens > 0) == isEnabled)
    #expect((outcome.summary?.draftedTokens ?? 0 > 0) == isEnabled)
    #expect((notes.steps.count < 100) == isEnabled)
    #expect((statistics.speculation.draftModel.forwards > 0) == (isEnabled && method == .draft))
  }

  /// No step has more drafts of a sequence, some have as many, and the more there are the fewer steps it takes.
  @Test(arguments: SpeculationMethod.allCases) func numSpeculativeTokens(method: SpeculationMethod) async throws {
    var counts: [Int] = []
    for limit in [0, 1, 2, 4, 7] {
      var setup = setup(drafts: limit)
      setup.draft = .init(text: .repeating(period: 12))
      setup.configuration.specMethod = method
      let notes = NotingExecutor.Notes()
      let engine = try setup.engine(notes: notes)
      let requests = (0..<2).map { EngineRequest(prompt: prompt(30, seed: $0), sampling: greedy(150)) }
      let handles = try requests.map { try engine.generate($0) }
      turn(engine)
      for (request, handle) in zip(requests, handles) {
        #expect(try await collect(handle).tokens[0] == (try setup.reference(request, count: 150)))
      }
      #expect(drafts(notes, promptLength: 30, batch: 2).flatMap { $0 }.max() == limit)
      #expect((engine.statistics.draftedTokens == 0) == (limit == 0))
      counts.append(notes.steps.count)
    }
    #expect(counts[0] == 150)
    #expect(zip(counts, counts.dropFirst()).allSatisfy { $0 > $1 }, "\(counts)")
  }

  /// A text in which what followed before never follows again: without adaptation every third token is guessed in vain, with
  /// it hardly one is once that is known.
  @Test(arguments: [true, false]) func rejectedDraftsEnd(adapts: Bool) async throws {
    var setup = setup()
    setup.vocabularySize = 512
    setup.configuration.adaptsDraftLength = adapts
    setup.cost = SimulatedExecutor.Cost(step: .milliseconds(10), token: .microseconds(100))
    let notes = NotingExecutor.Notes()
    let script: @Sendable (Int) -> TokenID = { $0 % 3 < 2 ? TokenID($0 % 3) : TokenID(2 + $0 / 3 % 510) }
    let engine = try setup.engine(notes: notes, script: script)
    let handle = try engine.generate(EngineRequest(prompt: (0..<30).map(script), sampling: greedy(600)))
    turn(engine)
    #expect(try await collect(handle).tokens[0] == (30..<630).map(script))
    #expect(engine.statistics.acceptedTokens == 0)
    let steps = drafts(notes, promptLength: 30, batch: 1)
    #expect(steps.count == 599)
    #expect(steps.prefix(6).contains { $0[0] > 0 }, "it did not try")
    let late = steps.dropFirst(100).map { $0[0] }
    if adapts {
      // Probes, ever more seldom.
      #expect(late.allSatisfy { $0 <= 1 } && late.reduce(0, +) <= 6, "\(late.reduce(0, +))")
      #expect(engine.statistics.speculation.draftLength <= 1)
    } else {
      #expect(late.reduce(0, +) >= 4 * 160)
    }
  }

  struct Case: Sendable {
    var batch: Int
    var stepMicroseconds: Int
    var tokenMicroseconds: Int
    /// Drafts of a sequence and step, once costs and acceptance are known.
    var expected: ClosedRange<Double>
  }

  /// The same text, most of whose drafts are accepted: how many pay depends on what a token more costs, and on how many
  /// sequences share what a step costs anyway.
  @Test(arguments: [
    Case(batch: 1, stepMicroseconds: 10_000, tokenMicroseconds: 100, expected: 2.5...4),
    Case(batch: 1, stepMicroseconds: 0, tokenMicroseconds: 10_000, expected: 0...0),
    Case(batch: 1, stepMicroseconds: 5_000, tokenMicroseconds: 5_000, expected: 2...4),
    Case(batch: 16, stepMicroseconds: 5_000, tokenMicroseconds: 5_000, expected: 0...0.25),
  ]) func draftsFallWithTheirCost(_ test: Case) async throws {
    var setup = setup()
    setup.blocks = 512
    setup.configuration.adaptsDraftLength = true
    setup.configuration.maxQueueWait = .seconds(1_000_000)
    setup.cost = SimulatedExecutor.Cost(
      step: .microseconds(test.stepMicroseconds), token: .microseconds(test.tokenMicroseconds))
    let notes = NotingExecutor.Notes()
    let engine = try setup.engine(notes: notes)
    let requests = (0..<test.batch).map { EngineRequest(prompt: prompt(30, seed: $0), sampling: greedy(400)) }
    let handles = try requests.map { try engine.generate($0) }
    turn(engine)
    for (request, handle) in zip(requests, handles) {
      #expect(try await collect(handle).tokens[0] == (try setup.reference(request, count: 400)))
    }
    let steps = drafts(notes, promptLength: 30, batch: test.batch)
    let late = average(steps.suffix(steps.count / 2))
    #expect(test.expected.contains(late), "\(late)")
  }
}
