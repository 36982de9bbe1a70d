import ServingTypes

/// Waits until the condition holds.
///
/// - Throws: `deadlineExceeded` that says what did not come about, and what the condition throws.
public func waitUntil(
  _ what: String, timeout: Duration = .seconds(120), _ condition: () async throws -> Bool
) async throws {
  let deadline = ContinuousClock.now + timeout
  while try await !condition() {
    guard ContinuousClock.now < deadline else { throw ServingError(.deadlineExceeded, "waited in vain: \(what)") }
    try await Task.sleep(for: .milliseconds(20))
  }
}
