import Routing
import ServingTypes

/// The fields that both kinds of completion share.
struct RequestFields: Decodable {
  var model: String
  var sampling: SamplingParameters
  var stream: Bool
  /// `stream_options.include_usage`.
  var includesUsage: Bool
  var tenant: String
  var cacheSalt: String
  /// As vLLM has it: the lowest goes first.
  var priority: Int
  var explains: Bool
  var returnsTokenIDs: Bool

  init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: WireKey.self)
    model = try container.decodeIfPresent(String.self, forKey: "model") ?? ""
    stream = try container.decodeIfPresent(Bool.self, forKey: "stream") ?? false
    let options = try container.decodeIfPresent(StreamOptions.self, forKey: "stream_options")
    includesUsage = options?.includesUsage ?? false
    if options != nil, !stream {
      throw APIError.invalid("stream_options", "stream_options is only allowed when stream is true")
    }
    tenant = try container.decodeIfPresent(String.self, forKey: "user") ?? ""
    cacheSalt = try container.decodeIfPresent(String.self, forKey: "cache_salt") ?? ""
    priority = Int(try container.decodeIfPresent(Int32.self, forKey: "priority") ?? 0)
    explains = try container.decodeIfPresent(Bool.self, forKey: "explain") ?? false
    returnsTokenIDs = try container.decodeIfPresent(Bool.self, forKey: "return_token_ids") ?? false
    sampling = try Self.sampling(container)
    try UnsupportedFields.check(container, samples: sampling.n)
  }

  private struct StreamOptions: Decodable {
    let includesUsage: Bool

    init(from decoder: any Decoder) throws {
      let container = try decoder.container(keyedBy: WireKey.self)
      includesUsage = try container.decodeIfPresent(Bool.self, forKey: "include_usage") ?? false
    }
  }

  private static func sampling(_ container: KeyedDecodingContainer<WireKey>) throws -> SamplingParameters {
    var result = SamplingParameters()
    func number(_ key: WireKey) throws -> Float? { try container.decodeIfPresent(Float.self, forKey: key) }
    func integer(_ key: WireKey) throws -> Int? { try container.decodeIfPresent(Int.self, forKey: key) }
    result.temperature = try number("temperature") ?? 1
    result.topP = try number("top_p") ?? 1
    result.minP = try number("min_p") ?? 0
    result.repetitionPenalty = try number("repetition_penalty") ?? 1
    result.frequencyPenalty = try number("frequency_penalty") ?? 0
    result.presencePenalty = try number("presence_penalty") ?? 0
    let topK = try integer("top_k") ?? 0
    result.topK = topK == -1 ? 0 : topK
    result.minTokens = try integer("min_tokens") ?? 0
    result.maxTokens = try integer("max_tokens")
    result.n = try integer("n") ?? 1
    result.ignoreEOS = try container.decodeIfPresent(Bool.self, forKey: "ignore_eos") ?? false
    result.stop = try container.decodeIfPresent(StopField.self, forKey: "stop")?.strings ?? []
    result.stopTokenIDs = try container.decodeIfPresent([TokenID].self, forKey: "stop_token_ids") ?? []
    result.seed = try seed(container)
    result.logitBias = try logitBias(container)
    return result
  }

  /// Any 64-bit integer, signed or not.
  private static func seed(_ container: KeyedDecodingContainer<WireKey>) throws -> UInt64? {
    guard container.contains("seed"), try !container.decodeNil(forKey: "seed") else { return nil }
    if let value = try? container.decode(UInt64.self, forKey: "seed") { return value }
    return UInt64(bitPattern: try container.decode(Int64.self, forKey: "seed"))
  }

  private static func logitBias(_ container: KeyedDecodingContainer<WireKey>) throws -> [TokenID: Float] {
    var result: [TokenID: Float] = [:]
    for (name, bias) in try container.decodeIfPresent([String: Float].self, forKey: "logit_bias") ?? [:] {
      guard let token = TokenID(name) else {
        throw APIError.invalid("logit_bias", "logit_bias names '\(name)', which is no token id")
      }
      result[token] = bias
    }
    return result
  }

  private struct StopField: Decodable {
    let strings: [String]

    init(from decoder: any Decoder) throws {
      let container = try decoder.singleValueContainer()
      if let text = try? container.decode(String.self) {
        strings = [text]
      } else if let several = try? container.decode([String].self) {
        strings = several
      } else {
        throw APIError.invalid("stop", "stop must be a string or an array of strings")
      }
    }
  }
}
