import Engine
import ServingTypes

/// A long prompt that is read alone, and then beside running streams: what each costs the other.
///
/// The streams then run once more without it: the same tokens, behind contexts of the same lengths, are what their gaps beside the
/// prompt are held against.
public struct LongPromptLoad: Sendable {
  public let engine: EngineCore
  public var streams: Int
  public var promptLength: Int
  /// Tokens in each stream's prompt; the streams differ.
  public var streamPromptLength: Int
  /// How long the streams run, from the last one's first token, before the prompt comes.
  public var quiet: Duration

  public init(
    engine: EngineCore, streams: Int, promptLength: Int, streamPromptLength: Int = 100, quiet: Duration = .seconds(2)
  ) {
    self.engine = engine
    self.streams = streams
    self.promptLength = promptLength
    self.streamPromptLength = streamPromptLength
    self.quiet = quiet
  }

  /// - Parameter seed: of the prompts' tokens; the same prompt would be found in the cache.
  public func run(seed: UInt64) async throws -> LongPromptResult {
    guard streams > 0, promptLength + 1 < engine.maximumContextLength else {
      throw ServingError(
        .invalidArgument,
        "\(streams) streams beside a prompt of \(promptLength) tokens; the context holds \(engine.maximumContextLength)"
      )
    }
    let alone = try await read(seed: seed &* 2)
    let (loaded, prompt) = try await runStreams(seed: seed, end: engine.maximumContextLength) { handles, seconds in
      try await Task.sleep(for: quiet)
      let from = seconds()
      let prefill = try await read(seed: seed &* 2 &+ 1)
      let span = from..<seconds()
      for handle in handles { handle.cancel() }
      return (span: span, prefill: prefill)
    }
    guard loaded.allSatisfy({ ($0.last ?? 0) > prompt.span.upperBound - prompt.prefill / 4 }) else {
      throw ServingError(.internalError, "a stream ended before the long prompt was read")
    }
    let beside = loaded.map { times in times.indices.filter { $0 > 0 && prompt.span.contains(times[$0]) } }
    let end = streamPromptLength + (beside.compactMap(\.last).max() ?? 0) + 1
    let (control, _) = try await runStreams(seed: seed, end: end) { _, _ in }
    func gaps(_ streams: [[Double]]) -> [Double] {
      zip(streams, beside).flatMap { times, places in places.map { times[$0] - times[$0 - 1] } }
    }
    return LongPromptResult(
      promptLength: promptLength, aloneSeconds: alone, loadedSeconds: prompt.prefill, quietGaps: gaps(control),
      loadedGaps: gaps(loaded))
  }

  /// Runs the streams until they end, or `body` has cancelled them.
  ///
  /// `body` is called when each of them runs: until then they read their own prompts, and delay each other.
  ///
  /// - Parameter end: the length at which they end, their prompts included.
  /// - Returns: when each token of each stream came, in seconds by the clock that `body` is given.
  private func runStreams<Result>(
    seed: UInt64, end: Int, _ body: ([GenerationHandle], () -> Double) async throws -> Result
  ) async throws -> ([[Double]], Result) {
    let start = ContinuousClock.now
    let (starts, started) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingOldest(streams))
    return try await withThrowingTaskGroup(of: (Int, [Double]).self) { group in
      var handles: [GenerationHandle] = []
      defer { for handle in handles { handle.cancel() } }
      for index in 0..<streams {
        let handle = try engine.generate(request(streamPromptLength, end, seed &* 64 &+ UInt64(index)))
        handles.append(handle)
        group.addTask { (index, try await Self.arrivals(handle, since: start) { started.yield() }) }
      }
      for await _ in starts.prefix(streams) {}
      let result = try await body(handles) { (ContinuousClock.now - start) / .seconds(1) }
      var arrivals = [[Double]](repeating: [], count: streams)
      for try await (index, times) in group { arrivals[index] = times }
      return (arrivals, result)
    }
  }

  /// Seconds from the prompt's admission to its first token.
  private func read(seed: UInt64) async throws -> Double {
    for try await event in try engine.generate(request(promptLength, promptLength + 1, ~seed)).events {
      if case .finished(let summary) = event { return summary.prefillSeconds }
    }
    throw ServingError(.internalError, "the engine ended a request without a summary")
  }

  private func request(_ length: Int, _ end: Int, _ seed: UInt64) -> EngineRequest {
    EngineRequest(
      prompt: PromptSource.random(vocabularySize: engine.vocabularySize).tokens(length, seed: seed),
      sampling: SamplingParameters(temperature: 0, maxTokens: end - length, ignoreEOS: true))
  }

  /// When each token came, until the stream was cancelled.
  ///
  /// - Parameter started: called once, with the first token; at the end of a stream that has none.
  private static func arrivals(
    _ handle: GenerationHandle, since start: ContinuousClock.Instant, started: () -> Void
  ) async throws -> [Double] {
    var arrivals: [Double] = []
    defer { if arrivals.isEmpty { started() } }
    do throws(ServingError) {
      for try await event in handle.events {
        guard case .tokens(_, let new, _) = event else { continue }
        if arrivals.isEmpty { started() }
        // Those of a stream that was behind come together.
        let time = (ContinuousClock.now - start) / .seconds(1)
        arrivals += new.map { _ in time }
      }
    } catch {
      if error.code != .cancelled { throw error }
    }
    return arrivals
  }
}
