import Routing
import ServingTypes

/// The body of `POST /v1/completions`.
struct CompletionRequest: Decodable {
  /// What OpenAI's API generates when the client says nothing.
  static let defaultMaxTokens = 16

  var fields: RequestFields
  var prompts: [GenerationRequest.Prompt]

  init(from decoder: any Decoder) throws {
    fields = try RequestFields(from: decoder)
    let container = try decoder.container(keyedBy: WireKey.self)
    prompts = try container.decode(PromptField.self, forKey: "prompt").prompts
    fields.sampling.maxTokens = fields.sampling.maxTokens ?? Self.defaultMaxTokens
    fields.sampling.logprobs = try container.decodeIfPresent(Int.self, forKey: "logprobs")
  }

  private struct PromptField: Decodable {
    let prompts: [GenerationRequest.Prompt]

    init(from decoder: any Decoder) throws {
      let container = try decoder.singleValueContainer()
      if let text = try? container.decode(String.self) {
        prompts = [.text(text)]
      } else if let tokens = try? container.decode([TokenID].self) {
        prompts = [.tokens(tokens)]
        if tokens.isEmpty { throw APIError.invalid("prompt", "prompt is an empty array") }
      } else if let texts = try? container.decode([String].self) {
        prompts = texts.map { .text($0) }
      } else if let lists = try? container.decode([[TokenID]].self) {
        prompts = lists.map { .tokens($0) }
      } else {
        throw APIError.invalid(
          "prompt",
          "prompt must be a string, an array of strings, an array of token ids, or an array of arrays of token ids; "
            + "a token id is an integer below 2147483648")
      }
    }
  }
}
