import Observability
import ServingTypes

/// A request that was checked, tokenised and hashed.
package struct PreparedRequest: Sendable {
  package var id: RequestID
  package var model: String
  package var prompt: [TokenID]
  package var sampling: SamplingParameters
  package var cacheSalt: String
  package var tenant: String
  package var priority: Int
  package var explain: Bool
  package var deadline: ContinuousClock.Instant
  package var trace: TraceContext
  package var arrival: ContinuousClock.Instant
  /// Of the prompt's full blocks, by block size.
  package var hashes: [Int: [BlockHash]]

  var head: GenerationHead { GenerationHead(requestID: id, model: model, promptTokens: prompt) }

  /// Log-probabilities of a prompt's own tokens at most: a worker holds them until the prompt is computed.
  static let maximumPromptLogprobs = 1 << 18

  /// - Parameters:
  ///   - blockSizes: those of the workers that may take it.
  ///   - timeout: from `now`, whatever deadline the request brings.
  /// - Throws: `notFound` with the models' names for an unknown one, `invalidArgument` for anything that no worker would
  ///   accept.
  package init(
    _ request: GenerationRequest, models: [ServedModel], blockSizes: Set<Int>, timeout: Duration,
    now: ContinuousClock.Instant
  ) throws(ServingError) {
    let model = try Self.model(request.model, among: models)
    try request.sampling.validate(vocabularySize: model.tokenizer.vocabularySize)
    let prompt = try model.tokenize(request.prompt)
    guard !prompt.isEmpty else { throw ServingError(.invalidArgument, "the prompt is empty") }
    guard prompt.count < model.contextLength else {
      throw ServingError(
        .invalidArgument,
        "the prompt has \(prompt.count) tokens; the context of '\(model.name)' is \(model.contextLength) tokens, and at "
          + "least one of them is for the answer")
    }
    if let count = request.sampling.promptLogprobs {
      let entries = prompt.count * (count + 1)
      guard entries <= Self.maximumPromptLogprobs else {
        throw ServingError(
          .invalidArgument,
          "prompt_logprobs of \(count) for \(prompt.count) prompt tokens are \(entries) entries; at most"
            + " \(Self.maximumPromptLogprobs) are computed")
      }
    }
    let priorities = Int(Int32.min)...Int(Int32.max)
    guard priorities.contains(request.priority) else {
      throw ServingError(.invalidArgument, "priority is \(request.priority); it must fit 32 bits")
    }
    id = request.id ?? .random()
    self.model = model.name
    self.prompt = prompt
    sampling = request.sampling
    if sampling.seed == nil { sampling.seed = .random(in: 0...UInt64.max) }
    cacheSalt = request.cacheSalt
    tenant = request.tenant
    priority = request.priority
    explain = request.explain
    deadline = min(request.deadline ?? now + timeout, now + timeout)
    arrival = now
    trace = request.trace ?? .random()
    hashes = [:]
    for size in blockSizes {
      hashes[size] = BlockHash.chain(tokens: prompt, blockSize: size, salt: cacheSalt)
    }
  }

  package static func model(_ name: String, among models: [ServedModel]) throws(ServingError) -> ServedModel {
    if name.isEmpty, models.count == 1 { return models[0] }
    if let model = models.first(where: { $0.name == name }) { return model }
    let names = models.map { "'\($0.name)'" }.joined(separator: ", ")
    throw ServingError(
      name.isEmpty ? .invalidArgument : .notFound,
      name.isEmpty ? "name one of the models \(names)" : "there is no model '\(name)'; there is \(names)")
  }
}
