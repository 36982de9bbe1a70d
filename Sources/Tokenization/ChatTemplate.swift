import ServingTypes

/// Writes a conversation the way a model was trained to read it.
///
/// The formats ChatML, Llama 3 and Gemma are recognised from the model's own template text; what a template says beyond its
/// format (a default system message, trimming) is read from it as well. The text has no beginning-of-sequence token: encode it with
/// `parseSpecial: true, addSpecial: true`.
public struct ChatTemplate: Hashable, Sendable {
  /// The recognised way of writing.
  public enum Format: Hashable, Sendable {
    case chatML
    case llama3
    case gemma
  }

  public let format: Format
  /// Used where a conversation doesn't begin with a system message.
  public let defaultSystemMessage: String?
  /// Whether white space around each message is dropped.
  public let trims: Bool

  /// Throws `unimplemented` for a template that follows none of the formats.
  public init(_ source: String) throws(ServingError) {
    guard let format = Self.recognise(source) else {
      let beginning = String(source.prefix(60)).replacing("\n", with: " ")
      throw ServingError(
        .unimplemented,
        "the model's chat template is not supported (ChatML, Llama 3 and Gemma are); it begins with: \(beginning)")
    }
    self.format = format
    defaultSystemMessage = format == .chatML ? Self.defaultSystemMessage(source) : nil
    trims = source.contains("| trim") || source.contains("|trim") || source.contains(".strip()")
  }

  /// The conversation as one text.
  ///
  /// - Parameter addGenerationPrompt: opens the assistant's next message at the end.
  /// - Throws: `invalidArgument` for a conversation that the format cannot express.
  public func render(messages: [ChatMessage], addGenerationPrompt: Bool) throws(ServingError) -> String {
    guard !messages.isEmpty else { throw ServingError(.invalidArgument, "the conversation has no messages") }
    switch format {
    case .chatML: return chatML(messages, addGenerationPrompt)
    case .llama3: return llama3(messages, addGenerationPrompt)
    case .gemma: return try gemma(messages, addGenerationPrompt)
    }
  }

  /// Templates that do more than their format (dates, hidden reasoning) are not mistaken for it.
  private static func recognise(_ source: String) -> Format? {
    func has(_ part: String) -> Bool { source.contains(part) }
    if has("Cutting Knowledge Date") || has("strftime_now") || has("<think>") || has("enable_thinking") { return nil }
    if has("<|im_start|>"), has("<|im_end|>") { return .chatML }
    if has("<|start_header_id|>"), has("<|end_header_id|>"), has("<|eot_id|>") { return .llama3 }
    if has("<start_of_turn>"), has("<end_of_turn>") { return .gemma }
    return nil
  }

  /// A system message that stands in the template as fixed text, between `<|im_start|>system` and `<|im_end|>`.
  private static func defaultSystemMessage(_ source: String) -> String? {
    // A line break may be written as such or escaped.
    for opening in ["<|im_start|>system\n", "<|im_start|>system\\n"] {
      var rest = source[...]
      while let start = rest.firstRange(of: opening) {
        rest = rest[start.upperBound...]
        guard let end = rest.firstRange(of: "<|im_end|>") else { break }
        let message = rest[..<end.lowerBound]
        // A quote means that the text between is an expression of the template instead.
        if !message.isEmpty, !message.contains(where: { $0 == "'" || $0 == "\"" || $0 == "{" || $0 == "\\" }) {
          return String(message)
        }
      }
    }
    return nil
  }

  private func chatML(_ messages: [ChatMessage], _ addGenerationPrompt: Bool) -> String {
    var text = ""
    func add(_ role: String, _ content: String) { text += "<|im_start|>\(role)\n\(content)<|im_end|>\n" }
    if messages[0].role != .system, let defaultSystemMessage { add("system", defaultSystemMessage) }
    for message in messages { add(message.role.rawValue, trimmed(message.content)) }
    return addGenerationPrompt ? text + "<|im_start|>assistant\n" : text
  }

  private func llama3(_ messages: [ChatMessage], _ addGenerationPrompt: Bool) -> String {
    var text = ""
    func open(_ role: String) { text += "<|start_header_id|>\(role)<|end_header_id|>\n\n" }
    for message in messages {
      open(message.role.rawValue)
      text += trimmed(message.content) + "<|eot_id|>"
    }
    if addGenerationPrompt { open("assistant") }
    return text
  }

  /// Gemma knows no system role: its text goes before the first user message.
  private func gemma(_ messages: [ChatMessage], _ addGenerationPrompt: Bool) throws(ServingError) -> String {
    var text = ""
    var prefix = ""
    var turns = messages[...]
    if let first = turns.first, first.role == .system {
      prefix = first.content + "\n\n"
      turns.removeFirst()
    }
    for (index, message) in turns.enumerated() {
      guard message.role == (index % 2 == 0 ? .user : .assistant) else {
        throw ServingError(
          .invalidArgument,
          "message \(index + messages.count - turns.count) has the role \(message.role.rawValue): this model's conversations"
            + " alternate between user and assistant, after an optional system message")
      }
      text += "<start_of_turn>\(message.role == .user ? "user" : "model")\n"
      text += prefix + trimmed(message.content) + "<end_of_turn>\n"
      prefix = ""
    }
    return addGenerationPrompt ? text + "<start_of_turn>model\n" : text
  }

  private func trimmed(_ content: String) -> String {
    guard trims else { return content }
    let scalars = content.unicodeScalars
    let isSpace: (Unicode.Scalar) -> Bool = { $0.properties.isWhitespace || (0x1C...0x1F).contains($0.value) }
    guard let first = scalars.firstIndex(where: { !isSpace($0) }), let last = scalars.lastIndex(where: { !isSpace($0) })
    else { return "" }
    return String(scalars[first...last])
  }
}
