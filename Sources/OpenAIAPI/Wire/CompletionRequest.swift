import Routing
import ServingTypes

/// The body of `POST /v1/completions`.
struct CompletionRequest: Sendable {
  /// What OpenAI's API generates when the client says nothing.
  static let defaultMaxTokens = 16

  var fields: RequestFields
  var prompts: [GenerationRequest.Prompt]

  init(_ body: [UInt8]) throws(APIError) {
    let body = try WireObject(WireReader.read(body))
    fields = try RequestFields(body)
    prompts = try Self.prompts(try body.required("prompt"))
    fields.sampling.maxTokens = fields.sampling.maxTokens ?? Self.defaultMaxTokens
    fields.sampling.logprobs = try body.integer("logprobs")
    if try body.boolean("echo") ?? false { echo() }
    if let bestOf = try body.integer("best_of"), bestOf > fields.sampling.n { try draw(bestOf) }
  }

  /// What is asked of the new tokens is then asked of the prompt's, too, and no new ones may be wanted at all.
  private mutating func echo() {
    fields.echoes = true
    if let count = fields.sampling.logprobs { fields.sampling.promptLogprobs = max(count, fields.promptLogprobs ?? 0) }
    if fields.sampling.maxTokens == 0 {
      fields.sampling.maxTokens = 1
      fields.dropsOutput = true
    }
  }

  /// Draws more samples than the answer has; their log-probabilities decide which.
  private mutating func draw(_ bestOf: Int) throws(APIError) {
    guard bestOf <= SamplingParameters.maximumSamples else {
      throw .invalid("best_of", "best_of is \(bestOf); it must be at most \(SamplingParameters.maximumSamples)")
    }
    if fields.stream {
      throw .invalid("best_of", "best_of above n cannot be streamed: which are the best is known in the end")
    }
    fields.keptSamples = fields.sampling.n
    fields.sampling.n = bestOf
    fields.hidesLogprobs = fields.sampling.logprobs == nil
    fields.sampling.logprobs = fields.sampling.logprobs ?? 0
  }

  private static func prompts(_ value: WireValue) throws(APIError) -> [GenerationRequest.Prompt] {
    switch value {
    case .string(let text): return [.text(text)]
    case .array(let elements):
      guard let first = elements.first else { throw .invalid("prompt", "prompt is an empty array") }
      if case .integer = first { return [.tokens(try tokens(elements, path: "prompt"))] }
      var prompts: [GenerationRequest.Prompt] = []
      for (index, element) in elements.enumerated() {
        switch (first, element) {
        case (.string, .string(let text)): prompts.append(.text(text))
        case (.array, .array(let list)): prompts.append(.tokens(try tokens(list, path: "prompt[\(index)]")))
        default: throw wrongForm
        }
      }
      return prompts
    default: throw wrongForm
    }
  }

  private static func tokens(_ elements: [WireValue], path: String) throws(APIError) -> [TokenID] {
    var tokens: [TokenID] = []
    tokens.reserveCapacity(elements.count)
    for (index, element) in elements.enumerated() {
      tokens.append(try WireObject.integer(element, path: "\(path)[\(index)]"))
    }
    return tokens
  }

  private static var wrongForm: APIError {
    .invalid(
      "prompt",
      "prompt must be a string, an array of strings, an array of token ids, or an array of arrays of token ids")
  }
}
