import Observability
import Routing
import ServingTypes

/// What one HTTP request asks for: one generation per prompt, and how to write the answer.
struct GenerationCall: Sendable {
  enum Kind: String, Sendable {
    case completion
    case chat
  }

  var kind: Kind
  var fields: RequestFields
  var prompts: [GenerationRequest.Prompt]

  init(_ request: CompletionRequest) throws(APIError) {
    kind = .completion
    fields = request.fields
    prompts = request.prompts
    let samples = fields.sampling.n
    guard prompts.count * samples <= SamplingParameters.maximumSamples else {
      throw .invalid(
        "prompt",
        "\(prompts.count) prompts with n = \(samples) make \(prompts.count * samples) choices; "
          + "at most \(SamplingParameters.maximumSamples) are served in one request")
    }
    if fields.echoes {
      let bytes = prompts.reduce(0) { $0 + $1.textBytes } * (fields.keptSamples ?? samples)
      guard bytes <= Self.maximumEchoedBytes else {
        throw .invalid(
          "echo", "the answer would repeat \(bytes) bytes of prompts; at most \(Self.maximumEchoedBytes) are written")
      }
    }
  }

  init(_ request: ChatCompletionRequest) {
    kind = .chat
    fields = request.fields
    prompts = [.chat(request.messages)]
  }

  /// Choices are numbered prompt by prompt.
  var choiceCount: Int { prompts.count * fields.sampling.n }

  /// Bytes of prompts in an answer, over all choices.
  static let maximumEchoedBytes = 16 << 20

  /// Entries of prompts' log-probabilities in an answer: an answer is held in memory whole.
  static let maximumPromptLogprobs = 1 << 18

  /// - Throws: where the answer would repeat more log-probabilities of the prompts' own tokens than it may.
  func checkPromptLogprobs(promptTokens: [Int]) throws(APIError) {
    guard let count = fields.sampling.promptLogprobs else { return }
    let copies = kind == .chat ? 1 : fields.keptSamples ?? fields.sampling.n
    let entries = promptTokens.reduce(0, +) * (count + 1) * copies
    guard entries <= Self.maximumPromptLogprobs else {
      throw .invalid(
        fields.promptLogprobs == nil ? "logprobs" : "prompt_logprobs",
        "the prompts' own log-probabilities would be \(entries) entries; at most \(Self.maximumPromptLogprobs) are written"
      )
    }
  }

  /// One request per prompt.
  func requests(id: RequestID, deadline: ContinuousClock.Instant?, trace: TraceContext) -> [GenerationRequest] {
    prompts.enumerated().map { index, prompt in
      GenerationRequest(
        id: prompts.count == 1 ? id : RequestID("\(id)-\(index)"), model: fields.model, prompt: prompt,
        sampling: fields.sampling, cacheSalt: fields.cacheSalt, tenant: fields.tenant, priority: -fields.priority,
        explain: fields.explains, deadline: deadline, trace: trace)
    }
  }
}
