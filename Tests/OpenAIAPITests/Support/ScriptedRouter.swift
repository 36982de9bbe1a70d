import OpenAIAPI
import Routing
import ServingTypes

/// Stands for the router: answers each request as its script says, through the real bounded stream.
final class ScriptedRouter: Sendable {
  typealias Script = @Sendable (GenerationRequest, GenerationSink) async throws -> Void

  /// The requests that came, in order.
  let requests = Lock<[GenerationRequest]>([])
  /// Answers whose client was seen to be gone.
  let cancelled = Lock(0)
  let readiness = Lock(Readiness.ready)
  let liveness = Lock(Readiness.ready)
  let status = Lock(StatusReport())
  let bodies: BodyBudget
  private let begin: @Sendable (GenerationRequest) async throws -> Void
  private let script: Script
  private let jobs: AsyncStream<(GenerationRequest, GenerationSink)>
  private let enqueue: AsyncStream<(GenerationRequest, GenerationSink)>.Continuation

  /// - Parameter begin: what happens before an answer begins.
  init(
    begin: @escaping @Sendable (GenerationRequest) async throws -> Void = { _ in }, bodyBytes: Int = 64 << 20,
    script: @escaping Script
  ) {
    self.begin = begin
    bodies = BodyBudget(limit: bodyBytes)
    self.script = script
    (jobs, enqueue) = AsyncStream.makeStream()
  }

  /// Tokens 0…255 are bytes; 1000 and above are words.
  static func bytes(of token: TokenID) -> [UInt8] { token < 256 ? [UInt8(token)] : Array("w\(token)".utf8) }

  static let models = [
    ModelInformation(id: "smol", contextLength: 2048, created: 1_700_000_000),
    ModelInformation(id: "org/big", contextLength: 8192, created: 1_700_000_001),
  ]

  var backend: InferenceBackend {
    InferenceBackend(
      generate: { request in
        self.requests.withLock { $0.append(request) }
        try await self.begin(request)
        let (updates, sink) = GenerationUpdates.makeStream()
        self.enqueue.yield((request, sink))
        return RoutedGeneration(
          head: GenerationHead(
            requestID: request.id ?? .random(), model: request.model.isEmpty ? "smol" : request.model,
            promptTokens: [5, 6, 7]),
          updates: updates)
      },
      models: { Self.models },
      tokenBytes: { _, token in Self.bytes(of: token) },
      readiness: { self.readiness.withLock { $0 } },
      liveness: { self.liveness.withLock { $0 } },
      status: { self.status.withLock { $0 } }, bodies: bodies)
  }

  func run() async {
    await withDiscardingTaskGroup { group in
      for await (request, sink) in jobs {
        group.addTask {
          do {
            try await self.script(request, sink)
            sink.finish()
          } catch {
            let error = error as? ServingError ?? ServingError(.internalError, "\(error)")
            if error.code == .cancelled { self.cancelled.withLock { $0 += 1 } }
            sink.finish(throwing: error)
          }
        }
      }
    }
  }

  /// Waits until so many answers were seen to be cancelled.
  func waitForCancellations(_ count: Int) async throws {
    while cancelled.withLock({ $0 }) < count { try await Task.sleep(for: .milliseconds(2)) }
  }

  /// Says `text` in pieces, one token each, as every sample.
  static func say(_ pieces: [String], finish: FinishReason = .stop) -> Script {
    { request, sink in
      for (index, piece) in pieces.enumerated() {
        let outputs = (0..<request.sampling.n).map { sample in
          SampleOutput(
            sample: sample, tokens: [GeneratedToken(id: TokenID(1000 + index))], text: piece,
            finish: index == pieces.count - 1 ? finish : nil)
        }
        try await sink.send(GenerationUpdate(outputs: outputs))
      }
      try await sink.send(
        GenerationUpdate(
          usage: GenerationUsage(
            promptTokens: 3, completionTokens: pieces.count * request.sampling.n, cachedTokens: 2),
          route: request.explain ? GenerationRoute(decodeCachedTokens: 2, computedTokens: 1) : nil,
          timeline: request.explain ? GenerationTimeline(firstTokenSeconds: 0.5) : nil))
    }
  }
}
