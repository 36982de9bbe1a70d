/// One model as clients see it.
public struct ModelInformation: Hashable, Sendable {
  public var id: String
  /// Tokens of prompt and answer together, at most.
  public var contextLength: Int
  /// Unix seconds.
  public var created: Int64

  public init(id: String, contextLength: Int, created: Int64) {
    self.id = id
    self.contextLength = contextLength
    self.created = created
  }
}
