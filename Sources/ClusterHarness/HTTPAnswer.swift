/// What a server said to one HTTP call.
public struct HTTPAnswer: Hashable, Sendable {
  public var status: Int
  /// By their names in lower case; the last one where a name comes twice.
  public var headers: [String: String]
  public var body: String
}
