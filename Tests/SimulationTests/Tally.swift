import ServingTypes

/// What many schedules came to.
struct Tally: Sendable, CustomStringConvertible {
  struct Failure: Sendable {
    var report: Report
    /// Where they were not drawn from the seed.
    var faults: [Fault] = []
  }

  var schedules = 0
  var right = 0
  var errors = 0
  var cancelled = 0
  var codes: [ServingError.Code: Int] = [:]
  /// The same for the same schedules, in whatever order they ran.
  var digest: UInt64 = 0
  var messages = 0
  var fetches = 0
  var steps = 0
  var faults: [FaultKind: Int] = [:]
  var failures: [Failure] = []

  mutating func add(_ report: Report, faults: [Fault] = []) {
    schedules += 1
    right += report.right
    errors += report.errors
    cancelled += report.cancelled
    codes.merge(report.codes, uniquingKeysWith: +)
    digest &+= report.digest
    messages += report.messages
    fetches += report.fetches
    steps += report.steps
    self.faults.merge(report.faults, uniquingKeysWith: +)
    if !report.failures.isEmpty { failures.append(Failure(report: report, faults: faults)) }
  }

  mutating func add(_ other: Tally) {
    schedules += other.schedules
    right += other.right
    errors += other.errors
    cancelled += other.cancelled
    codes.merge(other.codes, uniquingKeysWith: +)
    digest &+= other.digest
    messages += other.messages
    fetches += other.fetches
    steps += other.steps
    faults.merge(other.faults, uniquingKeysWith: +)
    failures += other.failures
  }

  var description: String {
    let kinds = FaultKind.allCases.map { "\($0) \(faults[$0] ?? 0)" }.joined(separator: ", ")
    let ends = ServingError.Code.allCases.compactMap { code in codes[code].map { "\(code) \($0)" } }
    return """
      \(schedules) schedules, \(failures.count) of them failed
        requests: \(right) ended right, \(errors) in error, \(cancelled) left by their client
        errors: \(ends.joined(separator: ", "))
        faults: \(kinds)
        \(messages) messages, \(fetches) fetches, \(steps) steps, digest \(String(digest, radix: 16))
      """
  }
}
