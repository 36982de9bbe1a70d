import GRPCCore
import GRPCTransport
import RPC
import Routing
import ServingProtos
import ServingTypes

/// A router in another process, called over gRPC.
struct RemoteRouter {
  let address: String
  let authToken: String?

  func generate(
    _ request: GenerationRequest, into transcript: inout GenerationTranscript,
    show: @Sendable @escaping (String) throws -> Void
  ) async throws {
    let target = try ServerAddress(address)
    var interceptors: [any ClientInterceptor] = []
    if let authToken { interceptors.append(try AuthenticationInterceptor(token: authToken)) }
    do {
      let transport = try LibGRPCClientTransport(target: target.description)
      let started = transcript
      transcript = try await withGRPCClient(transport: transport, interceptors: interceptors) { client in
        try await Baton_V1_Inference.Client(wrapping: client).generate(Baton_V1_GenerateRequest(request)) { response in
          var transcript = started
          transcript.start()
          for try await message in response.messages {
            if !message.requestID.isEmpty {
              transcript.begin(
                requestID: message.requestID, model: message.model,
                promptTokens: message.promptTokenIds.map(TokenID.init))
            }
            try show(transcript.append(try GenerationUpdate(message)))
          }
          return transcript
        }
      }
    } catch {
      let failure = ServingError(any: error)
      if failure.code == .unavailable {
        throw ServingError(.unavailable, "the router at \(address) can't serve: \(failure.message)")
      }
      throw failure
    }
  }
}

extension Baton_V1_GenerateRequest {
  fileprivate init(_ request: GenerationRequest) {
    self.init()
    model = request.model
    switch request.prompt {
    case .text(let text): self.text = text
    case .tokens(let tokens): self.tokens.ids = tokens.map { UInt32(bitPattern: $0) }
    case .chat(let messages):
      chat.messages = messages.map { message in
        .with {
          $0.role = message.role.rawValue
          $0.content = message.content
        }
      }
    }
    sampling = Baton_V1_SamplingParameters(request.sampling)
    explain = request.explain
  }
}

extension GenerationUpdate {
  fileprivate init(_ message: Baton_V1_GenerateResponse) throws(ServingError) {
    self.init()
    for output in message.outputs { outputs.append(try SampleOutput(output)) }
    if message.hasUsage { usage = GenerationUsage(message.usage) }
    if message.hasRoute { route = try GenerationRoute(message.route) }
    if message.hasTimeline { timeline = GenerationTimeline(message.timeline) }
  }
}
