/// Where a cluster's node sends a command instead of executing it.
enum RedisRedirection: Hashable, Sendable {
  /// The slot lies there from now on.
  case moved(slot: UInt16, RedisAddress.Endpoint)
  /// This command goes there, after an ASKING; the slot is on its way.
  case ask(RedisAddress.Endpoint)
  /// The keys are between two nodes.
  case tryAgain

  /// Nil when the reply is none.
  /// - Parameter asked: who replied; a node that does not know its own host leaves it out.
  init?(_ reply: RedisReply, asked: RedisAddress.Endpoint) {
    guard case .error(let message) = reply else { return nil }
    let words = message.split(separator: " ")
    switch words.first {
    case "TRYAGAIN": self = .tryAgain
    case "MOVED", "ASK":
      guard words.count >= 3, let slot = UInt16(words[1]), Int(slot) < RedisKeys.slotCount,
        let colon = words[2].lastIndex(of: ":"),
        let port = Int(words[2][words[2].index(after: colon)...]), (1...65_535).contains(port)
      else { return nil }
      let host = words[2][..<colon].filter { $0 != "[" && $0 != "]" }
      guard let endpoint = host.isEmpty || host == "?" ? asked.at(port: port) : .tcp(host: host, port: port) else {
        return nil
      }
      self = words[0] == "MOVED" ? .moved(slot: slot, endpoint) : .ask(endpoint)
    default: return nil
    }
  }
}
