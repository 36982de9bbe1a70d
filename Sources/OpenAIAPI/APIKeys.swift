/// The keys that open the API.
struct APIKeys: Sendable {
  let keys: [[UInt8]]

  init(_ keys: [String]) { self.keys = keys.map { Array($0.utf8) } }

  /// Whether an `Authorization` header holds one of the keys; how long that takes tells nothing of the keys.
  func admit(_ authorization: String?) -> Bool {
    if keys.isEmpty { return true }
    guard let authorization, let space = authorization.firstIndex(of: " "),
      authorization[..<space].lowercased() == "bearer"
    else { return false }
    let given = Array(authorization[authorization.index(after: space)...].utf8)
    var isKnown = false
    for key in keys {
      var difference = UInt8(given.count == key.count ? 0 : 1)
      for index in key.indices { difference |= key[index] ^ (index < given.count ? given[index] : 0) }
      if difference == 0 { isKnown = true }
    }
    return isKnown
  }
}
