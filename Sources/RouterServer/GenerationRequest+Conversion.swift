import RPC
import Routing
import ServingProtos
import ServingTypes
import Tokenization

extension GenerationRequest {
  /// - Throws: `invalidArgument` on a request without a prompt, a token id out of range or an unknown role.
  init(_ message: Baton_V1_GenerateRequest) throws(ServingError) {
    let prompt: Prompt
    switch message.prompt {
    case .text(let text): prompt = .text(text)
    case .tokens(let tokens): prompt = .tokens(try tokenIDs(tokens.ids, field: "tokens.ids"))
    case .chat(let chat): prompt = .chat(try chatMessages(chat))
    case nil: throw ServingError(.invalidArgument, "the request has no prompt: give text, tokens or chat")
    }
    self.init(
      id: message.requestID.isEmpty ? nil : RequestID(message.requestID), model: message.model, prompt: prompt,
      sampling: try SamplingParameters(message.sampling), cacheSalt: message.cacheSalt, tenant: message.tenant,
      priority: Int(message.priority), explain: message.explain)
  }
}

func chatMessages(_ chat: Baton_V1_Chat) throws(ServingError) -> [ChatMessage] {
  var messages: [ChatMessage] = []
  for message in chat.messages { messages.append(try ChatMessage(role: message.role, content: message.content)) }
  return messages
}
