/// What a server said to one HTTP call.
public struct HTTPAnswer: Hashable, Sendable {
  public var status: Int
  /// By their names in lower case.
  public var headers: [String: String]
  public var body: String
}
