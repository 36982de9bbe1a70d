import ServingTypes

/// The operation's value, or a timeout when it takes longer than `limit`; it is then cancelled, and must heed that.
func withTimeout<Value: Sendable>(
  _ limit: Duration, _ operation: @escaping @Sendable () async throws(RedisFailure) -> Value
) async throws(RedisFailure) -> Value {
  let outcome = await withTaskGroup(of: Result<Value, RedisFailure>?.self) { group in
    group.addTask {
      do throws(RedisFailure) { return .success(try await operation()) } catch { return .failure(error) }
    }
    group.addTask {
      do { try await Task.sleep(for: limit) } catch { return nil }
      return .failure(RedisFailure(.timeout, .deadlineExceeded, "no answer within \(limit)"))
    }
    defer { group.cancelAll() }
    while let next = await group.next() {
      if let next { return next }
    }
    return .failure(.cancelled)
  }
  return try outcome.get()
}
