/// How often a request may be opened once more. Pure.
///
/// Each new token shows that the request gets on, and gives it its tries back; a limit over all of them remains.
package struct ReopeningBudget: Sendable {
  private let maximumMigrations: Int
  private let maximumRefusals: Int
  private let maximumInAll: Int
  private var delivered = 0
  private var total = 0
  /// Since the last new token.
  package private(set) var recentMigrations = 0
  private var recentRefusals = 0
  /// Times that the request was moved, over its whole life.
  package private(set) var migrations = 0

  package init(_ configuration: RoutingConfiguration) {
    maximumMigrations = configuration.maximumMigrations
    maximumRefusals = configuration.maximumRefusals
    maximumInAll = configuration.maximumReopenings
  }

  /// Call it before the others.
  /// - Parameter tokens: what the client has so far.
  /// - Returns: whether there is something new since the last call.
  package mutating func note(delivered tokens: Int) -> Bool {
    guard tokens > delivered else { return false }
    delivered = tokens
    recentMigrations = 0
    recentRefusals = 0
    return true
  }

  /// A stream died.
  /// - Returns: whether the request may move once more.
  package mutating func migrate() -> Bool {
    guard recentMigrations < maximumMigrations, total < maximumInAll else { return false }
    recentMigrations += 1
    migrations += 1
    total += 1
    return true
  }

  /// A worker gave the request up in good order, because it leaves.
  /// - Returns: whether the request may move once more.
  package mutating func move() -> Bool {
    guard total < maximumInAll else { return false }
    migrations += 1
    total += 1
    return true
  }

  /// A worker refused for want of room.
  /// - Returns: whether another may be asked.
  package mutating func refuse() -> Bool {
    guard recentRefusals < maximumRefusals, total < maximumInAll else { return false }
    recentRefusals += 1
    total += 1
    return true
  }
}
