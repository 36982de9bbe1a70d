import ServingTypes

/// An answer that has begun.
public struct RoutedGeneration: Sendable {
  public var requestID: RequestID
  public var model: String
  public var promptTokens: [TokenID]
  /// One consumer. It ends only after each sample's last output and the update with the usage.
  public var updates: GenerationUpdates

  public init(requestID: RequestID, model: String, promptTokens: [TokenID], updates: GenerationUpdates) {
    self.requestID = requestID
    self.model = model
    self.promptTokens = promptTokens
    self.updates = updates
  }
}
