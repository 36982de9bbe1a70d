import Glibc

/// A small critical section around a value, for state that several threads share.
///
/// Backed by a pthread mutex, which the thread sanitizer understands, unlike `Synchronization.Mutex`. Inlined everywhere:
/// called without knowing its type it costs several times what the mutex does.
public final class Lock<State>: @unchecked Sendable {  // safe: the state is touched only while the mutex is held
  @usableFromInline var state: State
  @usableFromInline let mutex: UnsafeMutablePointer<pthread_mutex_t>

  @inlinable public init(_ state: sending State) {
    self.state = state
    mutex = .allocate(capacity: 1)
    mutex.initialize(to: pthread_mutex_t())
    pthread_mutex_init(mutex, nil)
  }

  @inlinable deinit {
    pthread_mutex_destroy(mutex)
    mutex.deallocate()
  }

  /// Runs `body` alone with the state. Keep it short: never await, call out or do I/O inside.
  @inlinable public func withLock<Result, Failure: Error>(
    _ body: (inout State) throws(Failure) -> sending Result
  ) throws(Failure) -> sending Result {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    return try body(&state)
  }
}
