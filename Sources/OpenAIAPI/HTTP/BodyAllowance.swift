import Routing

/// What one request's body takes of the budget for all, from its arrival to the end of its answer.
final class BodyAllowance {
  private let budget: BodyBudget
  private var taken = 0

  init(_ budget: BodyBudget) { self.budget = budget }

  deinit { budget.give(taken) }

  /// - Throws: `resourceExhausted` when so many bytes have no room now.
  func check(_ count: Int) throws {
    guard count <= budget.limit - budget.used else { throw budget.refusal(retryAfter: .seconds(1)) }
  }

  /// Makes sure of so many bytes in all.
  /// - Throws: `resourceExhausted` when the others leave no room for them.
  func grow(to count: Int) throws {
    guard count > taken else { return }
    guard budget.take(count - taken) else { throw budget.refusal(retryAfter: .seconds(1)) }
    taken = count
  }
}
