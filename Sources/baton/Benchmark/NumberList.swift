import ArgumentParser

/// `1,8,32`: numbers from 1 to a million.
struct NumberList: ExpressibleByArgument {
  var values: [Int]

  init?(argument: String) {
    let numbers = argument.split(separator: ",", omittingEmptySubsequences: false).map { Int($0) }
    let limits = 1...1_000_000
    values = numbers.compactMap { $0 }.filter(limits.contains)
    if values.isEmpty || values.count != numbers.count { return nil }
  }
}
