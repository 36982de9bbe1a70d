import ArgumentParser

/// Workers of the two tiers, written `prefill:decode`.
struct WorkerCounts: Hashable, Codable, ExpressibleByArgument, CustomStringConvertible {
  var prefill: Int
  var decode: Int

  init?(argument: String) {
    let parts = argument.split(separator: ":", omittingEmptySubsequences: false).map { Int($0) }
    guard parts.count == 2, let prefill = parts[0], let decode = parts[1], (0...64).contains(prefill),
      (1...64).contains(decode)
    else { return nil }
    self.init(prefill: prefill, decode: decode)
  }

  init(prefill: Int, decode: Int) {
    self.prefill = prefill
    self.decode = decode
  }

  var description: String { "\(prefill):\(decode)" }
}

/// Values with commas between them.
struct CommaList<Element: ExpressibleByArgument>: ExpressibleByArgument {
  var values: [Element]

  init?(argument: String) {
    values = []
    for part in argument.split(separator: ",", omittingEmptySubsequences: false) {
      guard let value = Element(argument: String(part)) else { return nil }
      values.append(value)
    }
  }

  init(_ values: [Element]) { self.values = values }
}
