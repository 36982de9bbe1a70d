import Engine
import ServingTestKit
import ServingTypes
import Testing

@Suite struct EventStreamTests {
  /// Whoever does not read costs as much memory as the tokens take, and finds them merged.
  @Test func aBacklogIsMerged() async throws {
    let setup = Setup()
    let engine = try setup.engine()
    let request = EngineRequest(
      prompt: prompt(20), sampling: SamplingParameters(temperature: 1, seed: 1, maxTokens: 200, n: 2))
    let handle = try engine.generate(request)
    await engine.drain()
    var sizes: [Int] = []
    var outcome = Outcome(samples: 2)
    for try await event in handle.events {
      guard case .tokens(let sample, let tokens, let finish) = event else { continue }
      sizes.append(tokens.count)
      outcome.tokens[sample] += tokens.map(\.id)
      outcome.finishes[sample] = finish
    }
    #expect(sizes == [200, 200])
    #expect(outcome.finishes == [.length, .length])
    for sample in 0..<2 {
      #expect(outcome.tokens[sample] == (try setup.reference(request, sample: sample, count: 200)))
    }
    await engine.stop()
  }

  @Test func onlyTheNewestPlaceInTheQueueIsKept() async throws {
    var setup = Setup()
    setup.configuration.maxNumSeqs = 1
    let engine = try setup.engine(start: false)
    let lenders = try (0..<6).map {
      try engine.prefill(EngineRequest(prompt: prompt(20, seed: $0), sampling: greedy(1)), heldBlocks: 0)
    }
    engine.start()
    await engine.prefillsEnd(lenders.dropLast())
    var kinds: [String] = []
    for try await event in lenders[5].events {
      switch event {
      case .queued: kinds.append("queued")
      case .started(let blocks, _): kinds.append("started \(blocks)")
      case .block(let loan): kinds.append("block \(loan.index)")
      case .end(let end): kinds.append("end \(end.firstTokens.count)")
      }
    }
    #expect(kinds == ["queued", "started 2", "block 0", "block 1", "end 1"])
    await engine.drain()
    try await expectClean(engine)
    await engine.stop()
  }

  /// Finished is finished: what comes late changes nothing.
  @Test func lateCallsChangeNothing() async throws {
    let setup = Setup()
    let engine = try setup.engine()
    let handle = try engine.generate(EngineRequest(prompt: prompt(20), sampling: greedy(5)))
    _ = try await collect(handle)
    handle.cancel()
    handle.stop(sample: 0)
    handle.stop(sample: 7)
    handle.stop(sample: -1)
    for try await _ in handle.events { Issue.record("an event after the end") }

    let receiver = try engine.receive(EngineRequest(prompt: prompt(40), sampling: greedy(5)))
    _ = try await receiver.reserve()
    _ = try await receiver.reserve()
    receiver.commit(index: 0, checksum: 0)
    receiver.commit(index: 99, checksum: 0)
    let generation = receiver.computeHere()
    receiver.commit(index: 0, checksum: 0)
    _ = receiver.complete(PrefillEnd(firstTokens: []))
    await expectError(.aborted) { try await receiver.bind() }
    #expect(await receiver.heldBlocks == 0)
    #expect(try await collect(generation).finishes == [.length])
    try await expectClean(engine)
    await engine.stop()
  }
}

extension EngineCore {
  fileprivate func prefillsEnd(_ handles: ArraySlice<PrefillHandle>) async {
    for handle in handles {
      do { for try await _ in handle.events {} } catch { Issue.record("\(error)") }
    }
  }
}
