/// Tells news of the directory's health from what was said already. No I/O.
struct HealthLog {
  private enum Ill: Hashable {
    case disconnected
    case failing(DirectoryFailure)
  }

  private var isConnected = false
  /// What was told since all was well.
  private var told: Set<Ill> = []
  private var lastFailure: ContinuousClock.Instant?

  /// Whether this should be logged.
  /// - Parameter quiet: a directory that fails now and then is well only after so long without a failure.
  mutating func isNews(_ health: DirectoryHealth, at now: ContinuousClock.Instant, quiet: Duration) -> Bool {
    switch health {
    case .connected:
      if isConnected { return false }
      if let lastFailure, now - lastFailure < quiet { return false }
      isConnected = true
      told = []
      return true
    case .disconnected: return fails(.disconnected, at: now)
    case .failing(let failure, _): return fails(.failing(failure), at: now)
    }
  }

  private mutating func fails(_ ill: Ill, at now: ContinuousClock.Instant) -> Bool {
    isConnected = false
    lastFailure = now
    return told.insert(ill).inserted
  }
}
