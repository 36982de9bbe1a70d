import RPC
import Routing
import ServingTypes
import Synchronization
import Testing
import Tokenization

struct PromptThreadsTests {
  /// Counts how many are at work at once, and waits until `expected` are.
  final class Meeting: Sendable {
    private struct State {
      var present = 0
      var most = 0
    }

    private let state = SignalledLock(State())
    let expected: Int

    init(expected: Int) { self.expected = expected }

    var most: Int { state.withLock { $0.most } }

    func attend() {
      state.withLock { state in
        state.present += 1
        state.most = max(state.most, state.present)
      }
      _ = state.wait(timeout: .seconds(60)) { $0.most >= expected ? () : nil }
      state.withLock { $0.present -= 1 }
    }
  }

  @Test(arguments: [1, 3]) func runsAsManyAtOnceAsThereAreThreads(_ count: Int) async {
    let threads = PromptThreads(count: count)
    let meeting = Meeting(expected: count)
    await withTaskGroup(of: Void.self) { group in
      for _ in 0..<count * 4 { group.addTask { await threads.run { meeting.attend() } } }
    }
    #expect(meeting.most == count)
  }

  @Test func errorsComeBack() async {
    let threads = PromptThreads(count: 1)
    let error = await #expect(throws: ServingError.self) {
      try await threads.run { () throws(ServingError) -> Int in throw ServingError(.notFound, "gone") }
    }
    #expect(error?.message == "gone")
  }

  @Test func withoutAThreadTheWorkIsDoneAllTheSame() async {
    #expect(await PromptThreads(count: 0).run { 7 } == 7)
  }

  /// The parameter's effect: that many prompts of a router are tokenised at once, however many come.
  @Test(arguments: [1, 2]) func numSchedulerThreads(_ count: Int) async throws {
    let meeting = Meeting(expected: count)
    let model = ServedModel(
      name: "bytes", tokenizer: MeetingTokenizer(meeting: meeting), chatTemplate: nil, contextLength: 4096)
    var configuration = RoutingConfiguration.testing()
    configuration.numSchedulerThreads = count
    let router = RequestRouter(
      models: [model], directory: nil, channels: try ChannelPool(), configuration: configuration)
    try await withThrowingTaskGroup(of: [TokenID].self) { group in
      for _ in 0..<8 {
        group.addTask { try await router.tokenize(.text("ab"), model: "bytes", isPlain: true) }
      }
      for try await tokens in group { #expect(tokens == [97, 98]) }
    }
    #expect(meeting.most == count)
  }

  private struct MeetingTokenizer: Tokenizer {
    let meeting: Meeting
    private let base = ByteTokenizer()
    var vocabularySize: Int { base.vocabularySize }
    var beginningOfSequence: TokenID? { base.beginningOfSequence }
    var endOfSequence: TokenID? { base.endOfSequence }
    var endOfGenerationTokens: [TokenID] { base.endOfGenerationTokens }

    init(meeting: Meeting) { self.meeting = meeting }

    func encode(_ text: String, parseSpecial: Bool, addSpecial: Bool) -> [TokenID] {
      meeting.attend()
      return base.encode(text, parseSpecial: parseSpecial, addSpecial: addSpecial)
    }

    func bytes(of token: TokenID) -> ArraySlice<UInt8> { base.bytes(of: token) }
    func isControl(_ token: TokenID) -> Bool { base.isControl(token) }
    func specialToken(_ text: String) -> TokenID? { base.specialToken(text) }
  }
}
