import CKernels
import ServingTypes

/// Reads an architecture's metadata; each error names the file, the key and the range.
struct ConfigurationReader {
  let file: GGUFFile
  /// The architecture, which most keys start with.
  let prefix: String

  func error(_ key: String, _ problem: String, _ code: ServingError.Code = .dataLoss) -> ServingError {
    ServingError(code, "\(file.name): \(key) \(problem)")
  }

  func count(
    _ name: String, _ range: ClosedRange<Int>, multipleOf step: Int = 1, default fallback: Int? = nil
  ) throws(ServingError) -> Int {
    let key = "\(prefix).\(name)"
    guard let value = try file.optionalInt(key) ?? fallback else { throw error(key, "is missing") }
    guard range.contains(value) else {
      throw error(key, "is \(value); it must be between \(range.lowerBound) and \(range.upperBound)")
    }
    guard value % step == 0 else {
      throw error(key, "is \(value); only multiples of \(step) are supported", .unimplemented)
    }
    return value
  }

  func positive(
    _ name: String, below limit: Float, default fallback: Float? = nil
  ) throws(ServingError) -> Float {
    let key = "\(prefix).\(name)"
    guard let value = try file.optionalFloat(key) ?? fallback else { throw error(key, "is missing") }
    guard value > 0, value < limit else { throw error(key, "is \(value); it must be between 0 and \(limit)") }
    return value
  }

  /// Rows of the embedding, which the list of tokens must agree with.
  func vocabularySize() throws(ServingError) -> Int {
    let tensor = try file.tensor("token_embd.weight")
    guard tensor.dimensions.count == 2, (1...16_777_216).contains(tensor.dimensions[1]) else {
      throw error("tensor \"token_embd.weight\"", "has the dimensions \(tensor.dimensions); two are expected")
    }
    let rows = tensor.dimensions[1]
    if case .array(let tokens) = file.metadata["tokenizer.ggml.tokens"], tokens.count != rows {
      throw error("tokenizer.ggml.tokens", "has \(tokens.count) tokens, token_embd.weight has \(rows) rows")
    }
    return rows
  }

  func headSize(embeddingSize: Int, headCount: Int) throws(ServingError) -> Int {
    let key = "\(prefix).attention.key_length"
    guard let size = try file.optionalInt(key) else {
      guard embeddingSize % headCount == 0 else {
        throw error(
          "\(prefix).attention.head_count", "is \(headCount), which does not divide embedding_length \(embeddingSize)")
      }
      return embeddingSize / headCount
    }
    let valueKey = "\(prefix).attention.value_length"
    if let valueSize = try file.optionalInt(valueKey), valueSize != size {
      throw error(valueKey, "is \(valueSize), key_length \(size): only equal ones are supported", .unimplemented)
    }
    return size
  }

  func checkHeads(headCount: Int, kvHeadCount: Int, headSize: Int) throws(ServingError) {
    guard headCount % kvHeadCount == 0 else {
      throw error(
        "\(prefix).attention.head_count_kv", "is \(kvHeadCount), which does not divide head_count \(headCount)")
    }
    let largest = K_ATTENTION_HEAD_SIZE
    guard (16...largest).contains(headSize), headSize % 16 == 0, headCount * headSize % 32 == 0 else {
      throw error(
        "\(prefix).attention.key_length", "gives heads of \(headSize): multiples of 16 up to \(largest) are supported",
        .unimplemented)
    }
    let group = headCount / kvHeadCount
    let most = min(K_ATTENTION_QUERIES, K_ATTENTION_STATE / headSize)
    guard group <= most else {
      throw error(
        "\(prefix).attention.head_count_kv", "gives \(group) query heads a kv head; \(most) are supported",
        .unimplemented)
    }
    let key = "\(prefix).rope.dimension_count"
    if let dimensions = try file.optionalInt(key), dimensions != headSize {
      throw error(key, "is \(dimensions), the head size \(headSize): partial rotation is not supported", .unimplemented)
    }
  }

  func ropeScale() throws(ServingError) -> Float {
    let key = "\(prefix).rope.scaling.type"
    switch try file.optionalString(key) ?? "none" {
    case "none": return 1
    case "linear": return try positive("rope.scaling.factor", below: 1e6)
    case let type: throw error(key, "is \"\(type)\"; only \"none\" and \"linear\" are supported", .unimplemented)
    }
  }

  func endOfGenerationTokens(vocabularySize: Int) throws(ServingError) -> [TokenID] {
    var tokens: [TokenID] = []
    for key in ["tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id"] {
      guard let token = try file.optionalInt(key) else { continue }
      guard (0..<vocabularySize).contains(token) else {
        throw error(key, "is \(token), outside the vocabulary of \(vocabularySize)")
      }
      if !tokens.contains(TokenID(token)) { tokens.append(TokenID(token)) }
    }
    return tokens
  }

  /// Throws `unimplemented` where the model asks for what is not there; 0 asks for nothing.
  func refuse(_ name: String, _ feature: String) throws(ServingError) {
    let key = "\(prefix).\(name)"
    switch file.metadata[key] {
    case nil, .unsigned(0), .signed(0), .float(0): return
    default: throw error(key, "is set: \(feature) are not supported", .unimplemented)
    }
  }
}
