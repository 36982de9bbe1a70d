import GRPCCore
import GRPCTransport
import Observability
import RPC
import Routing
import ServingProtos
import ServingTypes
import Tokenization

/// What internal clients call: the gRPC face of the router.
public struct InferenceService: Baton_V1_Inference.SimpleServiceProtocol {
  private let router: RequestRouter

  public init(router: RequestRouter) { self.router = router }

  public func generate(
    request: Baton_V1_GenerateRequest, response: RPCWriter<Baton_V1_GenerateResponse>, context: ServerContext
  ) async throws {
    var asked = try GenerationRequest(request)
    asked.deadline = context.deadline
    asked.trace = TraceContext.current
    let bytes = asked.prompt.bytes
    guard router.bodies.take(bytes) else { throw router.bodies.refusal(retryAfter: .seconds(1)) }
    defer { router.bodies.give(bytes) }
    let explain = request.explain
    let immediate = ImmediateWriter<Baton_V1_GenerateResponse>(context)
    try await router.generate(asked) { update, head in
      try await response.write(Baton_V1_GenerateResponse(update, head: head, explain: explain))
    } deliverNow: { update in
      immediate.write(Baton_V1_GenerateResponse(update, head: nil, explain: explain))
    }
  }

  public func tokenize(
    request: Baton_V1_TokenizeRequest, context: ServerContext
  ) async throws -> Baton_V1_TokenizeResponse {
    let prompt: GenerationRequest.Prompt
    switch request.prompt {
    case .text(let text): prompt = .text(text)
    case .chat(let chat): prompt = .chat(try chatMessages(chat))
    case nil: throw ServingError(.invalidArgument, "the request has neither text nor chat")
    }
    let bytes = prompt.bytes
    guard router.bodies.take(bytes) else { throw router.bodies.refusal(retryAfter: .seconds(1)) }
    defer { router.bodies.give(bytes) }
    var response = Baton_V1_TokenizeResponse()
    response.ids = wireTokens(
      try await router.tokenize(prompt, model: request.model, isPlain: request.plain))
    return response
  }

  public func listModels(
    request: Baton_V1_ListModelsRequest, context: ServerContext
  ) async throws -> Baton_V1_ListModelsResponse {
    var response = Baton_V1_ListModelsResponse()
    response.models = router.models.map { model in
      var message = Baton_V1_Model()
      message.id = model.id
      message.contextLength = UInt32(clamping: model.contextLength)
      message.created = model.created
      return message
    }
    return response
  }
}
