import ServingTypes

/// What is known of an answer before its first token.
public struct GenerationHead: Sendable {
  public var requestID: RequestID
  public var model: String
  public var promptTokens: [TokenID]

  public init(requestID: RequestID, model: String, promptTokens: [TokenID]) {
    self.requestID = requestID
    self.model = model
    self.promptTokens = promptTokens
  }
}
