import GRPCTransport

/// Runs `body`, whose calls end at `deadline`, however late they start; without a limit where nil.
public func withCallDeadline<Result>(
  _ deadline: ContinuousClock.Instant?, _ body: () async throws -> Result
) async rethrows -> Result {
  try await CallDeadline.$current.withValue(deadline, operation: body)
}
