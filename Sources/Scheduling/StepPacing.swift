/// When the next step may start: `scheduling_interval` and `batch_merge_window`.
public struct StepPacing: Sendable {
  public var interval: Duration
  public var mergeWindow: Duration

  public init(interval: Duration = .zero, mergeWindow: Duration = .zero) {
    self.interval = interval
    self.mergeWindow = mergeWindow
  }

  /// What is left of the interval after a step that started at `start`.
  public func pause(after start: ContinuousClock.Instant, now: ContinuousClock.Instant) -> Duration {
    max(.zero, interval - (now - start))
  }

  /// How long a request waits for company; whoever comes to a busy engine waits for none.
  public func companyWait(wasIdle: Bool, hasArrival: Bool) -> Duration {
    wasIdle && hasArrival ? mergeWindow : .zero
  }
}
