import ServingTypes

/// How one request of a schedule ended.
struct Outcome: Sendable {
  var request: PlannedRequest
  var answer: Answer
  /// Nil when it ended well.
  var error: ServingError?
  /// From its start to its end.
  var took: Duration
}
