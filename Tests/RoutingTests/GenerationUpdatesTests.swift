import Routing
import ServingTypes
import Testing

@Suite struct GenerationUpdatesTests {
  private func output(_ sample: Int, _ tokens: [TokenID], finish: FinishReason? = nil) -> SampleOutput {
    SampleOutput(
      sample: sample, tokens: tokens.map { GeneratedToken(id: $0) }, text: tokens.map { "\($0) " }.joined(),
      finish: finish)
  }

  @Test func whatWaitsComesAsOneUpdate() async throws {
    let (updates, sink) = GenerationUpdates.makeStream(capacity: 8)
    try await sink.send(GenerationUpdate(outputs: [output(0, [1])]))
    try await sink.send(GenerationUpdate(outputs: [output(0, [2]), output(1, [7])]))
    try await sink.send(GenerationUpdate(outputs: [output(0, [3], finish: .length)]))
    try await sink.send(GenerationUpdate(usage: GenerationUsage(promptTokens: 4, completionTokens: 4)))
    sink.finish()
    var iterator = updates.makeAsyncIterator()
    let first = try #require(try await iterator.next())
    #expect(first.outputs == [output(0, [1, 2, 3], finish: .length), output(1, [7])])
    #expect(first.usage?.completionTokens == 4)
    #expect(try await iterator.next() == nil)
  }

  @Test func oneThatWaitsAloneComesAlone() async throws {
    let (updates, sink) = GenerationUpdates.makeStream(capacity: 8)
    var iterator = updates.makeAsyncIterator()
    for token in TokenID(0)..<3 {
      try await sink.send(GenerationUpdate(outputs: [output(0, [token])]))
      #expect(try await iterator.next()?.outputs == [output(0, [token])])
    }
  }

  @Test func nothingIsLostBeforeAnError() async throws {
    let (updates, sink) = GenerationUpdates.makeStream(capacity: 8)
    try await sink.send(GenerationUpdate(outputs: [output(0, [1])]))
    try await sink.send(GenerationUpdate(outputs: [output(0, [2])]))
    sink.finish(throwing: ServingError(.unavailable, "gone"))
    var iterator = updates.makeAsyncIterator()
    #expect(try await iterator.next()?.outputs == [output(0, [1, 2])])
    await #expect(throws: ServingError.self) { try await iterator.next() }
  }

  @Test func noUpdateGrowsWithoutLimit() async throws {
    let (updates, sink) = GenerationUpdates.makeStream(capacity: 8)
    let many = (0..<3000).map { TokenID($0) }
    for _ in 0..<3 { try await sink.send(GenerationUpdate(outputs: [output(0, many)])) }
    var iterator = updates.makeAsyncIterator()
    for _ in 0..<3 { #expect(try await iterator.next()?.outputs == [output(0, many)]) }
  }
}
