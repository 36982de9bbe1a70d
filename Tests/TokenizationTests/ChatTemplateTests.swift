import ServingTypes
import Testing
import Tokenization

@Suite struct ChatTemplateTests {
  private let llama3 = """
    {% for m in messages %}{{ '<|start_header_id|>' + m['role'] + '<|end_header_id|>\\n\\n' + m['content'] | trim + \
    '<|eot_id|>' }}{% endfor %}{% if add_generation_prompt %}...{% endif %}
    """
  private let gemma = """
    {{ bos_token }}{% for m in messages %}{{ '<start_of_turn>' + role + '\\n' + m['content'] | trim + \
    '<end_of_turn>\\n' }}{% endfor %}
    """
  private let chatML = "{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n'}}"

  private let conversation = [
    ChatMessage(role: .system, content: " Be brief. "), ChatMessage(role: .user, content: "Hi\n"),
    ChatMessage(role: .assistant, content: "Hello."), ChatMessage(role: .user, content: "Who?"),
  ]

  @Test func chatMLWithoutADefault() throws {
    let template = try ChatTemplate(chatML)
    #expect(template.format == .chatML)
    #expect(template.defaultSystemMessage == nil)
    let text = try template.render(messages: Array(conversation[1...1]), addGenerationPrompt: true)
    #expect(text == "<|im_start|>user\nHi\n<|im_end|>\n<|im_start|>assistant\n")
  }

  @Test func llama3TrimsAndEndsTurns() throws {
    let template = try ChatTemplate(llama3)
    #expect(template.format == .llama3)
    let text = try template.render(messages: Array(conversation[..<2]), addGenerationPrompt: true)
    #expect(
      text == "<|start_header_id|>system<|end_header_id|>\n\nBe brief.<|eot_id|>"
        + "<|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n")
  }

  @Test func gemmaPutsTheSystemMessageIntoTheFirstTurn() throws {
    let template = try ChatTemplate(gemma)
    let text = try template.render(messages: conversation, addGenerationPrompt: true)
    #expect(
      text == "<start_of_turn>user\n Be brief. \n\nHi<end_of_turn>\n<start_of_turn>model\nHello.<end_of_turn>\n"
        + "<start_of_turn>user\nWho?<end_of_turn>\n<start_of_turn>model\n")
    #expect(try template.render(messages: conversation, addGenerationPrompt: false).hasSuffix("Who?<end_of_turn>\n"))
    let disordered = [ChatMessage(role: .user, content: "a"), ChatMessage(role: .user, content: "b")]
    let error = #expect(throws: ServingError.self) {
      try template.render(messages: disordered, addGenerationPrompt: true)
    }
    #expect(error?.code == .invalidArgument)
    #expect(error?.message.contains("message 1") == true)
  }

  @Test func unknownTemplatesAreRefusedWithTheirBeginning() {
    for source in ["[INST] {{ messages }} [/INST]", chatML + "{% if enable_thinking %}", ""] {
      let error = #expect(throws: ServingError.self) { try ChatTemplate(source) }
      #expect(error?.code == .unimplemented)
      #expect(error?.message.hasSuffix(source.prefix(40)) == true || error?.message.contains(source.prefix(40)) == true)
    }
  }

  @Test func badConversationsAreRefused() throws {
    #expect(throws: ServingError.self) { try ChatTemplate(chatML).render(messages: [], addGenerationPrompt: true) }
    let error = #expect(throws: ServingError.self) { try ChatMessage(role: "tool", content: "") }
    #expect(error?.code == .invalidArgument)
    #expect(error?.message.contains("tool") == true)
  }
}
