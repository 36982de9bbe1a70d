import GRPCCore
import RPC
import ServingProtos
import ServingTypes

/// One stream from a decode worker, read into the client's updates.
final class DecodeStream: Sendable {
  private struct State {
    var progress: GenerationProgress
    var summary = GenerationUpdate()
    var prefillFailures: [PrefillFailure] = []
    var hasAnswered = false
    var isAccepted = false
    var isDelivering = false
    /// What was taken in where it arrived, and could not be delivered there.
    var undelivered: Result<GenerationUpdate, ServingError>?
  }

  /// Failures of prefill workers that are remembered of one request.
  private static let mostFailures = 64

  private let state: Lock<State>

  init(_ request: PreparedRequest) {
    let wanted = request.sampling.promptLogprobs == nil ? 0 : request.prompt.count - 1
    state = Lock(State(progress: GenerationProgress(samples: request.sampling.n, promptLogprobs: wanted)))
  }

  var progress: GenerationProgress { state.withLock { $0.progress } }
  /// The usage, route and time line of the worker that finished the request.
  var summary: GenerationUpdate { state.withLock { $0.summary } }

  /// Whether the worker took the present stream on, however it ended: it was reached.
  var isAccepted: Bool { state.withLock { $0.isAccepted } }

  /// Whether the client has all of `progress`: not where its taking of an update was broken off.
  var isDelivered: Bool { state.withLock { !$0.isDelivering } }

  /// Prefill workers that could not help, over all the streams.
  var prefillFailures: [PrefillFailure] { state.withLock { $0.prefillFailures } }

  /// Another stream is about to be opened: until a worker takes it on, none has.
  func begin() {
    state.withLock { state in
      state.progress.beginStream()
      state.hasAnswered = false
      state.isAccepted = false
      state.undelivered = nil
    }
  }

  /// Opens one stream, after `begin`, and forwards it to its end.
  ///
  /// - Parameters:
  ///   - client: of the worker, kept open meanwhile.
  ///   - silence: told when the worker is heard.
  ///   - onFirst: called when the worker has given its first answer.
  ///   - onPrefillFailure: called for each prefill worker that could not help it.
  /// - Throws: what ended the stream early, or `internalError` when it ended well before the samples did.
  func run(
    _ message: Baton_V1_DecodeRequest, on client: ChannelPool.Client,
    into sink: GenerationSink, silence: StreamSilence, onFirst: @escaping @Sendable () -> Void,
    onPrefillFailure: @escaping @Sendable (PrefillFailure) -> Void
  ) async throws {
    let passOn: @Sendable (Baton_V1_DecodeResponse) -> Bool = { self.passOn($0, into: sink, silence: silence) }
    try await withArrivalHandler(passOn) {
      try await Baton_V1_Decode.Client(wrapping: client).decode(
        request: ClientRequest(message: message)
      ) { response in
        if case .success = response.accepted { self.state.withLock { $0.isAccepted = true } }
        for try await part in response.messages {
          try silence.pause()
          for failure in self.takeFailures(part) { onPrefillFailure(failure) }
          let (news, isFirst) = try self.takeUndelivered() ?? self.take(part)
          if isFirst { onFirst() }
          if news.hasContent {
            try await sink.send(news)
            self.state.withLock { $0.isDelivering = false }
          }
          silence.begin()
        }
      }
    }
    guard progress.isComplete else {
      throw ServingError(.internalError, "the decode worker ended its stream before it had finished every sample")
    }
  }

  /// Takes a part in where it arrives, and sends it on if that can be done at once.
  ///
  /// - Returns: false where the stream's reader has to see to it, for whom what was taken in is kept.
  private func passOn(_ part: Baton_V1_DecodeResponse, into sink: GenerationSink, silence: StreamSilence) -> Bool {
    // The first answer concerns others than the client, as do prefill workers' failures: the reader tells them.
    guard part.prefillFailures.isEmpty, state.withLock({ $0.hasAnswered }), silence.hear() else { return false }
    let taken: Result<GenerationUpdate, ServingError>
    do throws(ServingError) { taken = .success(try take(part).news) } catch { taken = .failure(error) }
    if case .success(let news) = taken, !news.hasContent || sink.sendNow(news) {
      state.withLock { $0.isDelivering = false }
      return true
    }
    // From now on the worker can't be heard.
    try? silence.pause()
    state.withLock { $0.undelivered = taken }
    return false
  }

  private func takeUndelivered() throws(ServingError) -> (news: GenerationUpdate, isFirst: Bool)? {
    guard let taken = state.withLock({ $0.undelivered.take() }) else { return nil }
    return (try taken.get(), false)
  }

  /// Advice, so that what is malformed in it costs nothing.
  private func takeFailures(_ part: Baton_V1_DecodeResponse) -> [PrefillFailure] {
    if part.prefillFailures.isEmpty { return [] }
    let failures = part.prefillFailures.compactMap { try? PrefillFailure($0) }
    state.withLock { state in
      state.prefillFailures += failures.prefix(max(0, Self.mostFailures - state.prefillFailures.count))
    }
    return failures
  }

  private func take(_ part: Baton_V1_DecodeResponse) throws(ServingError) -> (news: GenerationUpdate, isFirst: Bool) {
    var promptLogprobs: [GeneratedToken] = []
    for token in part.promptLogprobs { promptLogprobs.append(try GeneratedToken(token)) }
    var outputs: [SampleOutput] = []
    for output in part.outputs { outputs.append(try SampleOutput(output)) }
    let route = part.hasRoute ? try GenerationRoute(part.route) : nil
    return try state.withLock { [outputs, promptLogprobs] state throws(ServingError) in
      let news = GenerationUpdate(
        promptLogprobs: try state.progress.accept(promptLogprobs: promptLogprobs),
        outputs: try state.progress.accept(outputs))
      if part.hasUsage { state.summary.usage = GenerationUsage(part.usage) }
      if let route { state.summary.route = route }
      if part.hasTimeline { state.summary.timeline = GenerationTimeline(part.timeline) }
      state.isDelivering = news.hasContent
      let isFirst = !state.hasAnswered && !outputs.isEmpty
      if isFirst { state.hasAnswered = true }
      return (news, isFirst)
    }
  }
}
