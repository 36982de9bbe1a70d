import Foundation
import LoadHarness
import ServingTypes
import Testing

@Suite struct ClusterTraceTests {
  @Test(arguments: ClusterRecipe.named) func theSameRecipeGivesTheSameTrace(recipe: ClusterRecipe) throws {
    let trace = Trace(recipe)
    #expect(trace == Trace(recipe))
    var other = recipe
    other.seed += 1
    #expect(trace != Trace(other))
    #expect(try JSONDecoder().decode(ClusterRecipe.self, from: JSONEncoder().encode(recipe)) == recipe)
  }

  @Test(arguments: ClusterRecipe.named) func requestsKeepTheRecipesLimits(recipe: ClusterRecipe) {
    let trace = Trace(recipe)
    #expect(trace.longestContext <= recipe.longestContext)
    #expect(trace.requests.map(\.id) == Array(trace.requests.indices))
    #expect(zip(trace.requests, trace.requests.dropFirst()).allSatisfy { $0.arrival <= $1.arrival })
    for request in trace.requests {
      #expect((0..<recipe.seconds).contains(request.arrival) && request.promptLength > 0 && request.outputLength > 0)
      #expect((0..<recipe.tenants).contains(request.tenant ?? -1))
    }
    // Turns of a chat follow each other, and begin with their tenant's prompt.
    for chain in trace.chains where chain[0].conversation != nil {
      #expect(chain.map(\.turn) == Array(chain.indices))
      #expect(Set(chain.map(\.prefix)).count == 1 && chain[0].prefix?.id == chain[0].tenant)
    }
  }

  @Test func aRateIsKeptInTheMean() {
    var recipe = ClusterRecipe.documents
    (recipe.seconds, recipe.requestsPerSecond) = (1000, 20)
    #expect((19_000...21_000).contains(Trace(recipe).requests.count))
    recipe = .chats
    (recipe.seconds, recipe.requestsPerSecond) = (2000, 10)
    #expect((18_500...21_000).contains(Trace(recipe).requests.count))
  }

  @Test func someTenantsAskMoreThanOthers() {
    var recipe = ClusterRecipe.documents
    (recipe.seconds, recipe.documents, recipe.tenants) = (2000, 4, 4)
    let counts = Dictionary(grouping: Trace(recipe).requests) { $0.tenant ?? -1 }.mapValues { Double($0.count) }
    for other in 1..<4 {
      let share = counts[0, default: 0] / counts[other, default: 1]
      #expect((0.9...1.1).contains(share / Double(other + 1)))
    }
  }

  @Test func noShareAndNoDocumentIsNoRequest() {
    var recipe = ClusterRecipe.documents
    recipe.requestsPerSecond = 0
    #expect(Trace(recipe).requests.isEmpty)
  }
}
