/// Tokens counted for one request.
public struct GenerationUsage: Hashable, Sendable {
  public var promptTokens: Int
  /// Over all samples.
  public var completionTokens: Int
  /// Prompt tokens that no worker had to compute.
  public var cachedTokens: Int

  public init(promptTokens: Int = 0, completionTokens: Int = 0, cachedTokens: Int = 0) {
    self.promptTokens = promptTokens
    self.completionTokens = completionTokens
    self.cachedTokens = cachedTokens
  }

  public var totalTokens: Int { promptTokens + completionTokens }
}
