import ServingTypes
import Tokenization

/// A model that the router tokenises for.
public struct ServedModel: Sendable {
  /// As clients and workers call it.
  public var name: String
  public var tokenizer: any Tokenizer
  /// Nil for a model that takes no chats.
  public var chatTemplate: ChatTemplate?
  /// Tokens of prompt and answer together, at most.
  public var contextLength: Int
  /// Unix seconds.
  public var created: Int64
  /// Bytes of text that no prompt within the context can have: longer ones are refused unread.
  let maximumTextBytes: Int

  public init(
    name: String, tokenizer: any Tokenizer, chatTemplate: ChatTemplate?, contextLength: Int, created: Int64 = 0
  ) {
    self.name = name
    self.tokenizer = tokenizer
    self.chatTemplate = chatTemplate
    self.contextLength = contextLength
    self.created = created
    let longest = (0..<TokenID(tokenizer.vocabularySize)).reduce(64) { max($0, tokenizer.bytes(of: $1).count) }
    maximumTextBytes = contextLength.multipliedReportingOverflow(by: longest).overflow ? .max : contextLength * longest
  }

  public var information: ModelInformation {
    ModelInformation(id: name, contextLength: contextLength, created: created)
  }

  /// The prompt's tokens.
  ///
  /// - Parameter isPlain: leave special tokens in a text unparsed and add none.
  /// - Throws: `invalidArgument` for a text that no context could hold, a token outside the vocabulary, a chat that the template refuses, or a model without
  ///   one.
  public func tokenize(_ prompt: GenerationRequest.Prompt, isPlain: Bool = false) throws(ServingError) -> [TokenID] {
    let bytes = prompt.textBytes
    guard bytes <= maximumTextBytes else {
      throw ServingError(
        .invalidArgument,
        "the prompt has \(bytes) bytes, more than the context of '\(name)', \(contextLength) tokens, can hold")
    }
    switch prompt {
    case .text(let text): return tokenizer.encode(text, parseSpecial: !isPlain, addSpecial: !isPlain)
    case .tokens(let tokens):
      let size = tokenizer.vocabularySize
      if let index = tokens.firstIndex(where: { $0 < 0 || Int($0) >= size }) {
        throw ServingError(
          .invalidArgument, "prompt token \(index) is \(tokens[index]); the vocabulary of '\(name)' has \(size) tokens")
      }
      return tokens
    case .chat(let messages):
      guard let chatTemplate else {
        throw ServingError(.invalidArgument, "the model '\(name)' has no chat template; send a text or tokens instead")
      }
      // The template writes out the special tokens, the opening one too.
      let text = try chatTemplate.render(messages: messages, addGenerationPrompt: true)
      let tokens = tokenizer.encode(text, parseSpecial: true, addSpecial: true)
      if let first = tokenizer.beginningOfSequence, tokens.starts(with: [first, first]) {
        return Array(tokens.dropFirst())
      }
      return tokens
    }
  }
}
