import Foundation
import LoadHarness
import ServingTypes
import Testing

@Suite struct TraceTests {
  private let recipe = TraceRecipe(
    seed: 7, count: 200, prompt: LengthDistribution(median: 40, spread: 1.2, least: 4, most: 500),
    output: LengthDistribution(median: 60, spread: 0.9, least: 2, most: 400), longestContext: 512,
    requestsPerSecond: 10, prefixCount: 3, prefixLength: 32)

  @Test func theSameRecipeGivesTheSameTrace() throws {
    let trace = Trace(recipe)
    #expect(trace == Trace(recipe))
    var other = recipe
    other.seed = 8
    #expect(trace != Trace(other))
    #expect(try JSONDecoder().decode(Trace.self, from: JSONEncoder().encode(trace)) == trace)
    // Another machine, or another day: these are what the committed figures were measured with.
    #expect(trace.requests[0].promptLength == 40 && trace.outputTokens == 17334)
  }

  @Test func lengthsKeepTheirLimits() {
    let trace = Trace(recipe)
    #expect(trace.requests.count == 200)
    for request in trace.requests {
      #expect((1...500).contains(request.promptLength) && (1...400).contains(request.outputLength))
      #expect(request.promptLength + request.outputLength + 32 <= 512)
    }
    #expect(trace.longestContext <= 512)
    #expect(zip(trace.requests, trace.requests.dropFirst()).allSatisfy { $0.arrival <= $1.arrival })
    let lengths = trace.requests.map { Double($0.outputLength) }
    // Many short, few long.
    #expect(lengths.mean > lengths.median)
  }

  /// The mix of the comparisons: held to the context, in the proportions that it names.
  @Test(arguments: [512, 1024, 2048]) func chatsFillTheirContextAsShareGPTDoes(context: Int) {
    let trace = Trace(.chat(seed: 1, count: 4000, contextLength: context))
    #expect(trace.longestContext <= context)
    let prompts = trace.requests.map { Double($0.promptLength) / Double(context) }
    let outputs = trace.requests.map { Double($0.outputLength) / Double(context) }
    #expect(abs(prompts.mean - 161.0 / 2048) < 0.006 && abs(outputs.mean - 338.0 / 2048) < 0.012)
    let shared = trace.requests.count { $0.prefix != nil }
    #expect(abs(Double(shared) / 4000 - 0.5) < 0.04)
  }

  @Test func tenantsChangeNothingElse() {
    var recipe = recipe
    recipe.tenants = 5
    var trace = Trace(recipe)
    let owners = trace.requests.compactMap(\.tenant)
    #expect(owners.count == 200 && Set(owners) == Set(0..<5))
    #expect(abs(owners.count { $0 == 0 } - 100) < 25)
    for index in trace.requests.indices { trace.requests[index].tenant = nil }
    #expect(trace == Trace(self.recipe))
  }

  @Test func conversationsFitTheContext() {
    var recipe = recipe
    recipe.turns = 5
    recipe.count = 20
    let trace = Trace(recipe)
    #expect(trace.requests.count == 100)
    #expect(trace.longestContext <= 512)
    #expect(trace.chains.count == 20)
    #expect(trace.chains.allSatisfy { $0.map(\.turn) == [0, 1, 2, 3, 4] })
  }

  @Test func promptsShareWhatTheTraceSays() {
    let trace = Trace(recipe)
    let source = PromptSource.random(vocabularySize: 1000)
    let prompts = trace.requests.map { trace.tokens(of: $0, from: source) }
    for (request, prompt) in zip(trace.requests, prompts) {
      #expect(prompt.count == request.promptLength + 32)
      #expect(prompt.allSatisfy { (0..<1000).contains($0) })
    }
    let byPrefix = Dictionary(grouping: zip(trace.requests, prompts), by: { $0.0.prefix?.id })
    #expect(byPrefix.count == 3)
    #expect(byPrefix.values.allSatisfy { Set($0.map { Array($0.1.prefix(32)) }).count == 1 })
    #expect(Set(prompts.map { Array($0.dropFirst(32).prefix(4)) }).count == 200)
  }

  @Test func aTextGoesRound() {
    let text: [TokenID] = [5, 6, 7]
    let tokens = PromptSource.text(text).tokens(7, seed: 3)
    #expect(tokens.count == 7 && zip(tokens, tokens.dropFirst(3)).allSatisfy { $0 == $1 })
    #expect(PromptSource.text([]).tokens(3, seed: 1).isEmpty)
  }
}
