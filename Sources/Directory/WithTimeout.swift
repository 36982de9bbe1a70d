import ServingTypes

/// The operation's value, or `deadlineExceeded` when it takes longer than `limit`; it is then cancelled, and must heed that.
func withTimeout<Value: Sendable>(
  _ limit: Duration, _ operation: @escaping @Sendable () async throws(ServingError) -> Value
) async throws(ServingError) -> Value {
  let outcome = await withTaskGroup(of: Result<Value, ServingError>?.self) { group in
    group.addTask {
      do throws(ServingError) { return .success(try await operation()) } catch { return .failure(error) }
    }
    group.addTask {
      do { try await Task.sleep(for: limit) } catch { return nil }
      return .failure(ServingError(.deadlineExceeded, "no answer within \(limit)"))
    }
    defer { group.cancelAll() }
    while let next = await group.next() {
      if let next { return next }
    }
    return .failure(ServingError(.cancelled, "cancelled"))
  }
  return try outcome.get()
}
