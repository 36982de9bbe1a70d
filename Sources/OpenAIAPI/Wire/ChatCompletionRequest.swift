import Routing
import ServingTypes
import Tokenization

/// The body of `POST /v1/chat/completions`.
struct ChatCompletionRequest: Decodable {
  var fields: RequestFields
  var messages: [ChatMessage]

  init(from decoder: any Decoder) throws {
    fields = try RequestFields(from: decoder)
    let container = try decoder.container(keyedBy: WireKey.self)
    messages = try container.decode([Message].self, forKey: "messages").map(\.message)
    if messages.isEmpty { throw APIError.invalid("messages", "messages is empty; at least one is needed") }
    if let limit = try container.decodeIfPresent(Int.self, forKey: "max_completion_tokens") {
      fields.sampling.maxTokens = limit
    }
    let wantsLogprobs = try container.decodeIfPresent(Bool.self, forKey: "logprobs") ?? false
    let top = try container.decodeIfPresent(Int.self, forKey: "top_logprobs")
    if !wantsLogprobs, let top, top > 0 {
      throw APIError.invalid("top_logprobs", "top_logprobs needs logprobs to be true")
    }
    if let top, !(0...SamplingParameters.maximumLogprobs).contains(top) {
      throw APIError.invalid(
        "top_logprobs", "top_logprobs is \(top); it must be between 0 and \(SamplingParameters.maximumLogprobs)")
    }
    fields.sampling.logprobs = wantsLogprobs ? top ?? 0 : nil
  }

  private struct Message: Decodable {
    let message: ChatMessage

    init(from decoder: any Decoder) throws {
      let path = WireDecoder.text(of: decoder.codingPath) ?? "messages"
      let container = try decoder.container(keyedBy: WireKey.self)
      var role = try container.decode(String.self, forKey: "role")
      switch role {
      case "developer": role = "system"
      case "system", "user", "assistant": break
      default:
        throw APIError.invalid(
          "\(path).role", "\(path).role is '\(role)'; supported are system, developer, user and assistant")
      }
      if let calls = try? container.decode(WireValue.self, forKey: "tool_calls"), calls != .null, calls != .array([]) {
        throw APIError.invalid("\(path).tool_calls", "\(path).tool_calls is not supported")
      }
      let content = try container.decode(Content.self, forKey: "content")
      message = try ChatMessage(role: role, content: content.text)
    }
  }

  private struct Content: Decodable {
    let text: String

    init(from decoder: any Decoder) throws {
      let single = try decoder.singleValueContainer()
      if let text = try? single.decode(String.self) {
        self.text = text
        return
      }
      let path = WireDecoder.text(of: decoder.codingPath) ?? "content"
      guard var parts = try? decoder.unkeyedContainer() else {
        throw APIError.invalid(path, "\(path) must be a string or an array of text parts")
      }
      var text = ""
      while !parts.isAtEnd {
        let place = "\(path)[\(parts.currentIndex)]"
        let part = try parts.nestedContainer(keyedBy: WireKey.self)
        let type = try part.decode(String.self, forKey: "type")
        guard type == "text" else {
          throw APIError.invalid(place, "\(place) is of type '\(type)'; only text parts are supported")
        }
        text += try part.decode(String.self, forKey: "text")
      }
      self.text = text
    }
  }
}
