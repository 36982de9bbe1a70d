/// Which node of a cluster serves which slot. No I/O.
struct RedisSlotMap: Sendable {
  /// Who serves slots, each once.
  private(set) var masters: [RedisAddress.Endpoint] = []
  /// Everybody named, who can be asked when the masters are gone; bounded.
  private(set) var members: [RedisAddress.Endpoint] = []
  /// The index into `masters` for each slot, and -1 where nobody serves it.
  private var owners = [Int16](repeating: -1, count: RedisKeys.slotCount)

  private static let maximumMembers = 256

  /// Reads a reply to CLUSTER SLOTS.
  ///
  /// - Parameters:
  ///   - asked: who gave it; a node that does not know its own host leaves it out.
  ///   - maximumNodes: masters beyond these are an error.
  init(_ reply: RedisReply, asked: RedisAddress.Endpoint, maximumNodes: Int) throws(RedisFailure) {
    guard case .array(let ranges) = reply else { throw RedisFailure(unexpected: reply) }
    var known: [RedisAddress.Endpoint: Int16] = [:]
    for range in ranges {
      guard case .array(let parts) = range, parts.count >= 3, case .integer(let first) = parts[0],
        case .integer(let last) = parts[1], 0 <= first, first <= last, last < RedisKeys.slotCount
      else { throw RedisFailure(unexpected: range) }
      for (index, node) in parts.dropFirst(2).enumerated() {
        guard let endpoint = Self.endpoint(node, asked: asked) else { throw RedisFailure(unexpected: range) }
        if members.count < Self.maximumMembers, !members.contains(endpoint) { members.append(endpoint) }
        // The first is the master, the others are its replicas.
        guard index == 0 else { continue }
        if known[endpoint] == nil {
          guard masters.count < maximumNodes else {
            throw RedisFailure(.malformed, "the cluster has more than \(maximumNodes) masters")
          }
          known[endpoint] = Int16(masters.count)
          masters.append(endpoint)
        }
        for slot in first...last { owners[slot] = known[endpoint] ?? -1 }
      }
    }
  }

  /// Who serves the slot.
  func owner(of slot: UInt16) -> RedisAddress.Endpoint? {
    let owner = owners[Int(slot) % RedisKeys.slotCount]
    return owner < 0 ? nil : masters[Int(owner)]
  }

  /// Takes in what a redirection told; a node that is new waits for the next full answer.
  mutating func move(_ slot: UInt16, to endpoint: RedisAddress.Endpoint) {
    guard let index = masters.firstIndex(of: endpoint) else { return }
    owners[Int(slot) % RedisKeys.slotCount] = Int16(index)
  }

  private static func endpoint(
    _ node: RedisReply, asked: RedisAddress.Endpoint
  ) -> RedisAddress.Endpoint? {
    guard case .array(let parts) = node, parts.count >= 2, case .integer(let port) = parts[1],
      (1...65_535).contains(port)
    else { return nil }
    switch parts[0] {
    case .text(let host) where !host.isEmpty && host != "?": return .tcp(host: host, port: port)
    case .text, .null: return asked.at(port: port)
    default: return nil
    }
  }
}

extension RedisAddress.Endpoint {
  /// Another port of the same host.
  func at(port: Int) -> RedisAddress.Endpoint? {
    if case .tcp(let host, _) = self { .tcp(host: host, port: port) } else { nil }
  }
}
