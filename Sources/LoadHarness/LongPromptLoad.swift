import Engine
import ServingTypes

/// A long prompt that is read alone, and then beside running streams: what each costs the other.
public struct LongPromptLoad: Sendable {
  public let engine: EngineCore
  public var streams: Int
  public var promptLength: Int
  /// Tokens in each stream's prompt; the streams differ.
  public var streamPromptLength: Int
  /// How long the streams run before the prompt comes; their gaps in its second half are those without it.
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
    let start = ContinuousClock.now
    return try await withThrowingTaskGroup(of: [Double]?.self) { group in
      var handles: [GenerationHandle] = []
      for index in 0..<streams {
        let handle = try engine.generate(
          request(streamPromptLength, engine.maximumContextLength, seed &* 64 &+ UInt64(index)))
        handles.append(handle)
        group.addTask { try await Self.arrivals(handle, since: start) }
      }
      defer { for handle in handles { handle.cancel() } }
      try await Task.sleep(for: quiet)
      let from = (ContinuousClock.now - start) / .seconds(1)
      let loaded = try await read(seed: seed &* 2 &+ 1)
      let to = (ContinuousClock.now - start) / .seconds(1)
      for handle in handles { handle.cancel() }
      var result = LongPromptResult(
        promptLength: promptLength, aloneSeconds: alone, loadedSeconds: loaded, quietGaps: [], loadedGaps: [])
      for try await arrivals in group {
        guard let arrivals, let last = arrivals.last, last > to - loaded / 4 else {
          throw ServingError(.internalError, "a stream ended before the long prompt was read")
        }
        result.add(arrivals, quiet: from - quiet / .seconds(2)..<from, loaded: from..<to)
      }
      return result
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
  private static func arrivals(
    _ handle: GenerationHandle, since start: ContinuousClock.Instant
  ) async throws -> [Double] {
    var arrivals: [Double] = []
    do throws(ServingError) {
      for try await event in handle.events {
        if case .tokens = event { arrivals.append((ContinuousClock.now - start) / .seconds(1)) }
      }
    } catch {
      if error.code != .cancelled { throw error }
    }
    return arrivals
  }
}
