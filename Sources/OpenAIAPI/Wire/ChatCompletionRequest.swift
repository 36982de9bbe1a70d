import ServingTypes
import Tokenization

/// The body of `POST /v1/chat/completions`.
struct ChatCompletionRequest: Sendable {
  var fields: RequestFields
  var messages: [ChatMessage]

  init(_ body: [UInt8]) throws(APIError) {
    let body = try WireObject(WireReader.read(body))
    fields = try RequestFields(body)
    guard let turns = try body.array("messages") else { throw .invalid("messages", "messages is missing") }
    if turns.isEmpty { throw .invalid("messages", "messages is empty; at least one is needed") }
    messages = []
    for (index, turn) in turns.enumerated() {
      messages.append(try Self.message(WireObject(turn, path: "messages[\(index)]")))
    }
    if let limit = try body.integer("max_completion_tokens") { fields.sampling.maxTokens = limit }
    fields.sampling.logprobs = try Self.logprobs(body)
    if try body.boolean("echo") ?? false {
      throw .invalid("echo", "echo is for completions; a chat answers with new tokens")
    }
    if let bestOf = try body.integer("best_of"), bestOf > fields.sampling.n {
      throw .invalid("best_of", "best_of above n is for completions; ask for n samples and choose among them")
    }
  }

  private static func logprobs(_ body: WireObject) throws(APIError) -> Int? {
    let isWanted = try body.boolean("logprobs") ?? false
    let top = try body.integer("top_logprobs") ?? 0
    guard (0...SamplingParameters.maximumLogprobs).contains(top) else {
      throw .invalid(
        "top_logprobs", "top_logprobs is \(top); it must be between 0 and \(SamplingParameters.maximumLogprobs)")
    }
    if !isWanted, top > 0 { throw .invalid("top_logprobs", "top_logprobs needs logprobs to be true") }
    return isWanted ? top : nil
  }

  private static func message(_ turn: WireObject) throws(APIError) -> ChatMessage {
    let path = turn.path(of: "role")
    guard let name = try turn.string("role") else { throw .invalid(path, "\(path) is missing") }
    guard let role = ChatMessage.Role(rawValue: name == "developer" ? "system" : name) else {
      throw .invalid(path, "\(path) is '\(name)'; supported are system, developer, user and assistant")
    }
    if let calls = turn.value("tool_calls"), calls != .array([]) {
      throw .invalid(turn.path(of: "tool_calls"), "\(turn.path(of: "tool_calls")) is not supported")
    }
    return ChatMessage(role: role, content: try content(turn.required("content"), path: turn.path(of: "content")))
  }

  /// A string, or text parts one after the other.
  private static func content(_ value: WireValue, path: String) throws(APIError) -> String {
    switch value {
    case .string(let text): return text
    case .array(let parts):
      var text = ""
      for (index, part) in parts.enumerated() {
        let part = try WireObject(part, path: "\(path)[\(index)]")
        let type = try part.string("type") ?? ""
        guard type == "text" else {
          throw .invalid(part.path, "\(part.path) is of type '\(type)'; only text parts are supported")
        }
        guard let piece = try part.string("text") else {
          throw .invalid(part.path(of: "text"), "\(part.path(of: "text")) is missing")
        }
        text += piece
      }
      return text
    default: throw .invalid(path, "\(path) must be a string or an array of text parts")
    }
  }
}
