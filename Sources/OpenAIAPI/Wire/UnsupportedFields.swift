/// Refuses what would change the answer and is not served; other unknown fields are ignored, as vLLM does.
enum UnsupportedFields {
  static func check(_ body: WireObject) throws(APIError) {
    for field in fields {
      guard let value = body.value(field.name), !field.neutral.contains(value) else { continue }
      throw .invalid(field.name, "\(field.name) is not supported\(field.hint)")
    }
  }

  private struct Field: Sendable {
    let name: String
    /// Values that ask for nothing.
    var neutral: [WireValue] = []
    var hint = ""
  }

  private static let fields: [Field] = [
    Field(name: "tools", neutral: [.array([])], hint: "; leave it out"),
    Field(name: "functions", neutral: [.array([])], hint: "; leave it out"),
    Field(name: "tool_choice", neutral: [.string("none"), .string("auto")], hint: "; leave it out"),
    Field(name: "function_call", neutral: [.string("none"), .string("auto")], hint: "; leave it out"),
    Field(
      name: "response_format", neutral: [.object(["type": .string("text")])], hint: " other than {\"type\":\"text\"}"),
    Field(name: "modalities", neutral: [.array([]), .array([.string("text")])], hint: " other than [\"text\"]"),
    Field(name: "audio"),
    Field(name: "web_search_options"),
    Field(name: "suffix", neutral: [.string("")]),
    Field(name: "use_beam_search", neutral: [.boolean(false)]),
    Field(name: "prompt_embeds"),
    Field(name: "guided_json"),
    Field(name: "guided_regex"),
    Field(name: "guided_choice"),
    Field(name: "guided_grammar"),
    Field(name: "structured_outputs"),
    Field(name: "allowed_token_ids"),
    Field(name: "bad_words", neutral: [.array([])]),
    Field(name: "truncate_prompt_tokens"),
    Field(name: "include_stop_str_in_output", neutral: [.boolean(false)]),
    Field(name: "skip_special_tokens", neutral: [.boolean(true)], hint: " other than true"),
    Field(name: "add_generation_prompt", neutral: [.boolean(true)], hint: " other than true"),
    Field(name: "continue_final_message", neutral: [.boolean(false)]),
    Field(name: "chat_template", hint: "; the model's own template is used"),
  ]
}
