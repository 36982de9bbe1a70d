/// One turn of a conversation, before the model's chat template renders it.
public struct ChatMessage: Hashable, Sendable {
  /// system, user or assistant.
  public var role: String
  public var content: String

  public init(role: String, content: String) {
    self.role = role
    self.content = content
  }
}
