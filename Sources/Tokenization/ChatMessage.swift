import ServingTypes

/// One message of a conversation.
public struct ChatMessage: Hashable, Sendable {
  /// Who speaks.
  public enum Role: String, Hashable, Sendable, CaseIterable {
    case system, user, assistant
  }

  public var role: Role
  public var content: String

  public init(role: Role, content: String) {
    self.role = role
    self.content = content
  }

  /// From a client's words; throws `invalidArgument` for a role that is not known.
  public init(role name: String, content: String) throws(ServingError) {
    guard let role = Role(rawValue: name) else {
      let known = Role.allCases.map(\.rawValue).joined(separator: ", ")
      throw ServingError(.invalidArgument, "the message role \"\(name)\" is not supported: \(known) are")
    }
    self.init(role: role, content: content)
  }
}
