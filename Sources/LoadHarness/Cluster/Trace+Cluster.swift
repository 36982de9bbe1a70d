import Foundation
import ServingTypes

extension Trace {
  /// Ids of documents as prefixes; those below are tenants' system prompts.
  private static let firstDocument = 1_000_000

  /// Draws the recipe's chats, documents and arrivals.
  public init(_ recipe: ClusterRecipe) {
    var random = SplitMix64(seed: recipe.seed)
    let systemPrompts = (0..<recipe.tenants).map { _ in recipe.systemPrompt.draw(&random) }
    let documents = (0..<recipe.documents).map { _ in recipe.document.draw(&random) }
    var requests: [TraceRequest] = []
    var turnsRandom = SplitMix64(seed: recipe.seed)
    let turns = (0..<4096).map { _ in Double(recipe.turns.draw(&turnsRandom)) }.mean
    let chats = recipe.requestsPerSecond * recipe.chatShare / turns
    for (number, start) in Self.arrivals(perSecond: chats, seconds: recipe.seconds, &random).enumerated() {
      let tenant = Self.popular(of: recipe.tenants, &random)
      requests += Self.chat(number, of: tenant, at: start, systemPrompt: systemPrompts[tenant], recipe, &random)
    }
    let questions = recipe.requestsPerSecond * (1 - recipe.chatShare)
    for arrival in Self.arrivals(perSecond: questions, seconds: recipe.seconds, &random) {
      let document = Self.popular(of: recipe.documents, &random)
      let length = recipe.question.draw(&random)
      let answer = recipe.documentAnswer.draw(&random)
      let room = recipe.longestContext - length - answer
      requests.append(
        TraceRequest(
          id: 0, arrival: arrival, promptLength: length, outputLength: answer,
          prefix: .init(id: Self.firstDocument + document, length: min(documents[document], room)),
          tenant: document % recipe.tenants))
    }
    requests.sort { ($0.arrival, $0.conversation ?? -1) < ($1.arrival, $1.conversation ?? -1) }
    for index in requests.indices { requests[index].id = index }
    self.init(seed: recipe.seed, requests: requests)
  }

  private static func chat(
    _ number: Int, of tenant: Int, at start: Double, systemPrompt: Int, _ recipe: ClusterRecipe,
    _ random: inout SplitMix64
  ) -> [TraceRequest] {
    var turns: [TraceRequest] = []
    var (arrival, length) = (start, systemPrompt)
    for turn in 0..<recipe.turns.draw(&random) {
      let (message, answer) = (recipe.message.draw(&random), recipe.answer.draw(&random))
      let pause = exponential(mean: recipe.pauseSeconds, &random)
      length += message + answer
      guard length <= recipe.longestContext, arrival < recipe.seconds else { break }
      turns.append(
        TraceRequest(
          id: 0, arrival: arrival, promptLength: message, outputLength: answer,
          prefix: .init(id: tenant, length: systemPrompt), conversation: number, turn: turn, tenant: tenant))
      arrival += Double(answer) * recipe.secondsPerToken + pause
    }
    return turns
  }

  /// A Poisson process.
  private static func arrivals(perSecond rate: Double, seconds: Double, _ random: inout SplitMix64) -> [Double] {
    guard rate > 0 else { return [] }
    var (arrivals, time) = ([Double](), exponential(mean: 1 / rate, &random))
    while time < seconds {
      arrivals.append(time)
      time += exponential(mean: 1 / rate, &random)
    }
    return arrivals
  }

  private static func exponential(mean: Double, _ random: inout SplitMix64) -> Double {
    -log(1 - random.uniform()) * mean
  }

  /// One of some, the first twice as often as the second, three times as often as the third (Zipf's law).
  private static func popular(of count: Int, _ random: inout SplitMix64) -> Int {
    let total = (1...max(1, count)).reduce(0) { $0 + 1 / Double($1) }
    var rest = random.uniform() * total
    for index in 0..<max(0, count - 1) {
      rest -= 1 / Double(index + 1)
      if rest < 0 { return index }
    }
    return max(0, count - 1)
  }
}
