import Directory
import GRPCCore
import GRPCTransport
import RPC
import ServingProtos
import ServingTypes

/// A decode worker on a real socket, whose tokens are a function of the whole sequence so far and whose failures are
/// written by the test.
final class ScriptedWorker: Sendable {
  /// What happens to one call.
  enum Act: Sendable, Hashable {
    case serve
    case refuse
    /// Fails after so many messages.
    case fail(after: Int, ServingError.Code)
    /// The whole server dies after so many messages.
    case die(after: Int)
    /// Ends well after so many messages, though there is more to say.
    case leave(after: Int)
    /// Says nothing until it is cancelled, after so many messages.
    case hang(after: Int)
    /// Says nothing for a while, after so many messages, then goes on.
    case pause(after: Int, Duration)
    /// Speaks of a sample that nobody asked for, after so many messages.
    case babble(after: Int)
    /// Says everything but the last word.
    case omitSummary
  }

  struct State {
    var script: [Act]
    var requests: [Baton_V1_DecodeRequest] = []
    /// Of the calls, in their order.
    var deadlines: [ContinuousClock.Instant?] = []
    var cancelled = 0
    var active = 0
    var sent = 0
    var incarnation: UInt64 = 1
    var isDead = false
    var health = Health.serving
    /// What it says instead while a call hangs.
    var hangingHealth: Health?
    var hanging = 0
    /// How often it was asked whether it lives.
    var probes = 0
    /// Told on the first message of calls that name prefill workers.
    var prefillFailures: [Baton_V1_PrefillFailure] = []
  }

  /// What the worker says when it is asked whether it lives.
  enum Health: Sendable, Hashable {
    case serving
    case notServing
    /// Nothing at all.
    case silent
  }

  let id: WorkerID
  let role: WorkerRole
  let layoutDigest: String
  let contextLength: Int
  let state: Lock<State>
  let transport: LibGRPCServerTransport
  private let death = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))

  /// - Parameter script: one act per call; after the last the worker serves.
  init(
    _ name: String, role: WorkerRole = .decode, layoutDigest: String = "layout", contextLength: Int = 4096,
    script: [Act] = []
  ) throws {
    id = WorkerID(name)
    self.role = role
    self.layoutDigest = layoutDigest
    self.contextLength = contextLength
    state = Lock(State(script: script))
    transport = try LibGRPCServerTransport(address: "127.0.0.1:0")
  }

  var address: String { "127.0.0.1:\(transport.port)" }
  var requests: [Baton_V1_DecodeRequest] { state.withLock { $0.requests } }
  var record: WorkerRecord {
    WorkerRecord(
      reference: WorkerReference(
        id: id, address: address, incarnation: Incarnation(state.withLock { $0.incarnation })),
      role: role, model: "bytes", layoutDigest: layoutDigest, blockSize: 16, blockCount: 1000,
      maximumModelLength: contextLength)
  }

  /// Serves until the worker dies or the task is cancelled.
  func run() async {
    let server = GRPCServer(
      transport: transport, services: [DecodeFace(worker: self), WorkerFace(worker: self), HealthFace(worker: self)])
    await withTaskGroup(of: Void.self) { group in
      group.addTask { try? await server.serve() }
      group.addTask { for await _ in self.death.stream { return } }
      await group.next()
      group.cancelAll()
    }
  }

  func die() {
    state.withLock { $0.isDead = true }
    death.continuation.yield()
  }

  /// What any worker of this layout answers.
  static func token(_ context: [UInt32], sample: Int, seed: UInt64) -> UInt32 {
    var hash: UInt64 = seed &+ UInt64(sample) &* 0x9e37_79b9_7f4a_7c15
    for token in context { hash = (hash ^ UInt64(token)) &* 0x0000_0100_0000_01b3 ^ (hash >> 29) }
    return UInt32(hash % 256)
  }

  /// The answer that a client must see, whatever happens on the way.
  static func answer(prompt: [TokenID], sample: Int, seed: UInt64, count: Int) -> [TokenID] {
    var context = wireTokens(prompt)
    for _ in 0..<count { context.append(token(context, sample: sample, seed: seed)) }
    return context.dropFirst(prompt.count).map { TokenID($0) }
  }

  /// What any worker says of a prompt's own tokens.
  static func promptLogprobs(_ prompt: [TokenID]) -> [GeneratedToken] {
    prompt.enumerated().dropFirst().map { GeneratedToken(id: $1, logprob: -Float($0)) }
  }

  static func text(_ tokens: [TokenID]) -> String { tokens.map { "\($0) " }.joined() }

  fileprivate func decode(
    _ request: Baton_V1_DecodeRequest, deadline: ContinuousClock.Instant?,
    _ response: RPCWriter<Baton_V1_DecodeResponse>
  ) async throws {
    let (act, incarnation) = state.withLock { state in
      state.requests.append(request)
      state.deadlines.append(deadline)
      state.active += 1
      return (state.script.isEmpty ? .serve : state.script.removeFirst(), state.incarnation)
    }
    defer { state.withLock { $0.active -= 1 } }
    if request.expectedIncarnation != 0, request.expectedIncarnation != incarnation {
      throw ServingError(.failedPrecondition, "another incarnation")
    }
    if act == .refuse { throw ServingError(.resourceExhausted, "full", retryAfter: .milliseconds(1234)) }
    let parameters = try SamplingParameters(request.sampling)
    let count = parameters.maxTokens ?? 16
    var contexts = (0..<parameters.n).map { sample in
      request.promptTokens + (sample < request.generated.count ? request.generated[sample].tokens : [])
    }
    // Sample s is s tokens shorter than asked for, so that they end at different times.
    func limit(_ sample: Int) -> Int { request.promptTokens.count + max(1, count - sample) }
    let failures = state.withLock { $0.prefillFailures }
    if !request.prefillCandidates.isEmpty, !failures.isEmpty {
      try await response.write(.with { $0.prefillFailures = failures })
    }
    var messages = 0
    if parameters.promptLogprobs != nil {
      let tokens = Self.promptLogprobs(try tokenIDs(request.promptTokens, field: "prompt_tokens"))
      for start in stride(from: 0, to: tokens.count, by: 10) {
        try await perform(act, afterMessages: messages)
        if case .leave(messages) = act { return }
        var message = Baton_V1_DecodeResponse()
        message.promptLogprobs = tokens[start..<min(start + 10, tokens.count)].map { Baton_V1_Token($0) }
        try await response.write(message)
        messages += 1
      }
    }
    for _ in 0..<count {
      for sample in contexts.indices where contexts[sample].count < limit(sample) {
        try await perform(act, afterMessages: messages)
        if case .leave(messages) = act { return }
        if case .babble(messages) = act { try await response.write(.with { $0.outputs = [.with { $0.sample = 99 }] }) }
        let token = Self.token(contexts[sample], sample: sample, seed: parameters.seed ?? 0)
        contexts[sample].append(token)
        var output = Baton_V1_Output()
        output.sample = UInt32(sample)
        output.tokens = [Baton_V1_Token(GeneratedToken(id: TokenID(token)))]
        output.text = Self.text([TokenID(token)])
        if contexts[sample].count == limit(sample) { output.finishReason = .length }
        var message = Baton_V1_DecodeResponse()
        message.outputs = [output]
        do { try await response.write(message) } catch {
          // Whoever is to hang may be cancelled before it does.
          if case .hang = act { state.withLock { $0.cancelled += 1 } }
          throw error
        }
        state.withLock { $0.sent += 1 }
        messages += 1
      }
    }
    try await perform(act, afterMessages: messages)
    if act == .omitSummary { throw ServingError(.unavailable, "gone before the summary") }
    var last = Baton_V1_DecodeResponse()
    last.usage.promptTokens = UInt32(request.promptTokens.count)
    last.usage.cachedTokens = 3
    last.route.decode = Baton_V1_WorkerReference(record.reference)
    last.timeline.decodeSeconds = 0.5
    try await response.write(last)
  }

  private func perform(_ act: Act, afterMessages messages: Int) async throws {
    switch act {
    case .fail(messages, let code): throw ServingError(code, "as scripted")
    case .die(messages):
      die()
      // Nothing more is said; the death of the server ends the wait.
      try await Task.sleep(for: .seconds(600))
    case .pause(messages, let duration): try await Task.sleep(for: duration)
    case .hang(messages):
      state.withLock { $0.hanging += 1 }
      defer { state.withLock { $0.hanging -= 1 } }
      do { try await Task.sleep(for: .seconds(600)) } catch {
        state.withLock { $0.cancelled += 1 }
        throw error
      }
    default: break
    }
  }

  private struct DecodeFace: Baton_V1_Decode.SimpleServiceProtocol {
    let worker: ScriptedWorker

    func decode(
      request: Baton_V1_DecodeRequest, response: RPCWriter<Baton_V1_DecodeResponse>, context: ServerContext
    ) async throws {
      try await worker.decode(request, deadline: context.deadline, response)
    }
  }

  private struct HealthFace: Grpc_Health_V1_Health.SimpleServiceProtocol {
    let worker: ScriptedWorker

    func check(
      request: Grpc_Health_V1_HealthCheckRequest, context: ServerContext
    ) async throws -> Grpc_Health_V1_HealthCheckResponse {
      let health = worker.state.withLock { state in
        state.probes += 1
        return state.hanging > 0 ? state.hangingHealth ?? state.health : state.health
      }
      if health == .silent { try await Task.sleep(for: .seconds(600)) }
      return .with { $0.status = health == .serving ? .serving : .notServing }
    }

    func watch(
      request: Grpc_Health_V1_HealthCheckRequest, response: RPCWriter<Grpc_Health_V1_HealthCheckResponse>,
      context: ServerContext
    ) async throws {
      throw ServingError(.unimplemented, "nobody watches")
    }
  }

  private struct WorkerFace: Baton_V1_Worker.SimpleServiceProtocol {
    let worker: ScriptedWorker

    func describe(
      request: Baton_V1_DescribeRequest, context: ServerContext
    ) async throws -> Baton_V1_WorkerDescription {
      let record = worker.record
      var description = Baton_V1_WorkerDescription()
      description.reference = Baton_V1_WorkerReference(record.reference)
      description.role = record.role.rawValue
      description.model = record.model
      description.layoutDigest = record.layoutDigest
      description.blockSize = UInt32(record.blockSize)
      description.numBlocks = UInt32(record.blockCount)
      description.maxModelLen = UInt32(record.maximumModelLength)
      return description
    }

    func statistics(
      request: Baton_V1_StatisticsRequest, context: ServerContext
    ) async throws -> Baton_V1_WorkerStatistics {
      Baton_V1_WorkerStatistics()
    }
  }
}
