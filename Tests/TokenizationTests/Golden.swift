import Foundation
import ModelRuntime
import ServingTestKit
import ServingTypes
import Tokenization

/// The committed golden data.
enum Golden {
  struct Prompts: Decodable {
    struct Prompt: Decodable {
      var text: String
      var ids: [TokenID]
      var idsPlain: [TokenID]
      var greedy: [TokenID]
      var greedyText: String
      var firstEog: Int?
    }
    var prompts: [String: Prompt]
  }

  struct Conversation: Decodable {
    struct Message: Decodable {
      var role: String
      var content: String
    }
    var model: String
    var messages: [Message]
    var addGenerationPrompt: Bool
    var text: String
  }

  /// The model file of each golden file.
  static let models = [
    "smollm2": ModelFile.smolLM2, "gemma3-270m": ModelFile.gemma3, "qwen2.5-coder-0.5b": ModelFile.qwenHalfBillion,
    "qwen2.5-coder-1.5b": ModelFile.qwen,
  ]

  /// The golden files whose model is here.
  static let present = models.filter { ModelFile.path($0.value) != nil }.keys.sorted()

  private static let tokenizers = Lock<[String: any Tokenizer]>([:])

  /// The tokenizer of a golden file's model, made once.
  static func tokenizer(_ name: String) throws -> any Tokenizer {
    try tokenizers.withLock { made in
      if let tokenizer = made[name] { return tokenizer }
      guard let path = models[name].flatMap({ ModelFile.path($0) }) else {
        throw ServingError(.notFound, "the model of \(name) is not here")
      }
      let tokenizer = try GGUFFile(path: path).makeTokenizer()
      made[name] = tokenizer
      return tokenizer
    }
  }

  static func decode<Value: Decodable>(_ name: String, as type: Value.Type = Value.self) throws -> Value {
    let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    return try decoder.decode(Value.self, from: Data(contentsOf: folder.appendingPathComponent("Golden/\(name).json")))
  }
}
