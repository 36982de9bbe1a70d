import Foundation
import ServingTypes

/// Requests to put to an engine: the same every time.
public struct Trace: Codable, Hashable, Sendable {
  /// Of the prompts' tokens.
  public var seed: UInt64
  /// In order of arrival; turns of a conversation in order.
  public var requests: [TraceRequest]

  public init(seed: UInt64, requests: [TraceRequest]) {
    self.seed = seed
    self.requests = requests
  }

  /// Draws the recipe's lengths, prefixes and arrivals.
  public init(_ recipe: TraceRecipe) {
    var random = SplitMix64(seed: recipe.seed)
    // By itself, so that tenants change nothing else of a trace.
    var owners = SplitMix64(seed: ~recipe.seed)
    var (arrival, requests) = (0.0, [TraceRequest]())
    for index in 0..<recipe.count {
      if let rate = recipe.requestsPerSecond, index > 0 { arrival -= log(1 - random.uniform()) / rate }
      let hasPrefix = recipe.prefixCount > 0 && random.uniform() < recipe.prefixShare
      let prefix =
        hasPrefix
        ? TraceRequest.Prefix(id: Int(random.next() % UInt64(recipe.prefixCount)), length: recipe.prefixLength) : nil
      // A turn is one prompt token and one generated token at least.
      let tenant = recipe.tenants > 1 ? Self.owner(of: recipe.tenants, &owners) : nil
      var left = recipe.longestContext - (prefix?.length ?? 0) - 2 * recipe.turns
      for turn in 0..<recipe.turns {
        let output = min(recipe.output.draw(&random) - 1, max(0, left))
        left -= output
        let prompt = min(recipe.prompt.draw(&random) - 1, max(0, left))
        left -= prompt
        requests.append(
          TraceRequest(
            id: requests.count, arrival: arrival, promptLength: 1 + max(0, prompt), outputLength: 1 + max(0, output),
            prefix: prefix, conversation: recipe.turns > 1 ? index : nil, turn: turn, tenant: tenant))
      }
    }
    self.init(seed: recipe.seed, requests: requests)
  }

  /// The first tenant in half of the cases.
  private static func owner(of tenants: Int, _ random: inout SplitMix64) -> Int {
    random.uniform() < 0.5 ? 0 : 1 + Int(random.next() % UInt64(tenants - 1))
  }

  /// Prompt tokens, outputs of earlier turns not counted.
  public var promptTokens: Int { requests.reduce(0) { $0 + $1.promptLength + ($1.prefix?.length ?? 0) } }

  /// Tokens that are generated.
  public var outputTokens: Int { requests.reduce(0) { $0 + $1.outputLength } }

  /// The longest context that a request ends with.
  public var longestContext: Int {
    chains.map { chain in
      (chain.first?.prefix?.length ?? 0) + chain.reduce(0) { $0 + $1.promptLength + $1.outputLength }
    }.max() ?? 0
  }

  /// Requests that run one after the other: those of a conversation, or one alone; in order of arrival.
  public var chains: [[TraceRequest]] {
    var chains: [[TraceRequest]] = []
    var places: [Int: Int] = [:]
    for request in requests {
      if let conversation = request.conversation, let place = places[conversation] {
        chains[place].append(request)
      } else {
        if let conversation = request.conversation { places[conversation] = chains.count }
        chains.append([request])
      }
    }
    return chains
  }

  /// What the request adds to its conversation: the shared prefix, in the first turn, and its own tokens.
  public func tokens(of request: TraceRequest, from source: PromptSource) -> [TokenID] {
    var tokens: [TokenID] = []
    if let prefix = request.prefix, request.turn == 0 {
      // Apart from every request's own tokens.
      tokens += source.tokens(prefix.length, seed: seed &+ UInt64(prefix.id) &+ 0x5EED_0000_0000)
    }
    return tokens + source.tokens(request.promptLength, seed: seed &+ UInt64(request.id) &* 0x1_0001)
  }
}
