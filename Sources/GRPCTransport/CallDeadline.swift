import GRPCCore

/// When the calls that a task makes must have ended, at the latest.
///
/// The library keeps it, on both sides. `CallOptions.timeout` does as well, but GRPCCore then adds a timer of its own to each
/// call, which costs more than the rest of a short one. What reads a response must not wait long for anything but its messages: only
/// those end with the call.
public enum CallDeadline {
  /// Nil for none.
  @TaskLocal public static var current: ContinuousClock.Instant?
}
