import ServingProtos
import ServingTypes

extension Baton_V1_Token {
  public init(_ token: GeneratedToken) {
    self.init()
    id = UInt32(bitPattern: token.id)
    if let value = token.logprob { logprob = value }
    if !token.top.isEmpty {
      top = token.top.map { entry in
        var message = Baton_V1_TokenLogprob()
        message.token = UInt32(bitPattern: entry.token)
        message.logprob = entry.logprob
        return message
      }
    }
  }
}

extension GeneratedToken {
  /// - Throws: `invalidArgument` on an id that is no token id.
  public init(_ message: Baton_V1_Token) throws(ServingError) {
    var top: [TokenLogprob] = []
    for entry in message.top {
      top.append(TokenLogprob(token: try tokenID(entry.token, field: "top.token"), logprob: entry.logprob))
    }
    self.init(
      id: try tokenID(message.id, field: "token.id"), logprob: message.hasLogprob ? message.logprob : nil, top: top)
  }
}
