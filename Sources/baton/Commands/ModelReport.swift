import Foundation
import ModelRuntime
import ServingTypes

/// What `baton model inspect` says of a file.
struct ModelReport: Encodable {
  struct Tensor: Encodable {
    var name: String
    var type: String
    var dimensions: [Int]
    var bytes: Int
  }

  var file: String
  var bytes: Int
  var name: String?
  var license: String?
  var architecture: String
  var fingerprint: String
  var parameters: Int
  var contextLength: Int?
  var layers: Int?
  var embeddingLength: Int?
  var heads: Int?
  var kvHeads: Int?
  var tokenizer: String?
  var preTokenizer: String?
  var vocabulary: Int?
  /// Recognised template, or why none is.
  var chatTemplate: String
  /// Tensors by type.
  var types: [String: Int]
  var tensors: [Tensor]?

  init(_ file: GGUFFile, withTensors: Bool) throws {
    let architecture = try file.string("general.architecture")
    func number(_ key: String) -> Int? { try? file.optionalInt("\(architecture).\(key)") }
    self.file = file.name
    self.architecture = architecture
    bytes = file.byteCount
    name = try file.optionalString("general.name")
    license = try file.optionalString("general.license")
    fingerprint = try file.modelFingerprint()
    parameters = file.tensors.reduce(0) { $0 + $1.dimensions.reduce(1, *) }
    contextLength = number("context_length")
    layers = number("block_count")
    embeddingLength = number("embedding_length")
    heads = number("attention.head_count")
    kvHeads = number("attention.head_count_kv") ?? heads
    tokenizer = try file.optionalString("tokenizer.ggml.model")
    preTokenizer = try file.optionalString("tokenizer.ggml.pre")
    vocabulary = try file.optionalByteStrings("tokenizer.ggml.tokens")?.count
    do {
      chatTemplate = "\(try file.makeChatTemplate().format)"
    } catch {
      chatTemplate = "none: \(error.message)"
    }
    types = file.tensors.reduce(into: [:]) { $0["\($1.type)", default: 0] += 1 }
    if withTensors {
      tensors = file.tensors.map {
        Tensor(name: $0.name, type: "\($0.type)", dimensions: $0.dimensions, bytes: $0.byteCount)
      }
    }
  }

  func json() throws -> String {
    let encoder = JSONEncoder()
    encoder.keyEncodingStrategy = .convertToSnakeCase
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    return String(decoding: try encoder.encode(self), as: UTF8.self)
  }

  /// A line for each fact that the file states.
  var text: String {
    var lines: [(String, String)] = [("file", "\(file) (\(bytes / 1_048_576) MiB)")]
    func add(_ label: String, _ value: Any?) { if let value { lines.append((label, "\(value)")) } }
    add("name", name)
    add("license", license)
    add("architecture", architecture)
    add("parameters", parameters)
    add("context", contextLength)
    add("layers", layers)
    add("embedding", embeddingLength)
    if let heads, let kvHeads { add("heads", "\(heads), \(kvHeads) for keys and values") }
    if let tokenizer { add("tokenizer", preTokenizer.map { "\(tokenizer), \($0)" } ?? tokenizer) }
    add("vocabulary", vocabulary)
    add("chat template", chatTemplate)
    add("tensor types", types.sorted { $0.key < $1.key }.map { "\($0.value) \($0.key)" }.joined(separator: ", "))
    add("fingerprint", fingerprint)
    for tensor in tensors ?? [] {
      add("tensor", "\(tensor.name) \(tensor.type) \(tensor.dimensions) \(tensor.bytes) bytes")
    }
    return lines.map { $0.0.padding(toLength: 15, withPad: " ", startingAt: 0) + $0.1 + "\n" }.joined()
  }
}
