import ServingTypes

/// What a schedule came to.
struct Report: Sendable {
  var seed: UInt64
  var failures: [String]
  var right = 0
  var errors = 0
  var cancelled = 0
  var codes: [ServingError.Code: Int] = [:]
  var faults: [FaultKind: Int] = [:]
  var messages = 0
  var fetches = 0
  var steps = 0
  var digest: UInt64 = 0
}
