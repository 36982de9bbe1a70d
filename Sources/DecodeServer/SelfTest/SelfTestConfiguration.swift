/// How a worker proves to itself that it works.
public struct SelfTestConfiguration: Sendable {
  /// Between two tests. None is made while requests of clients succeed.
  public var interval: Duration
  /// Until the next one after a failure.
  public var retryInterval: Duration
  /// How long one may take.
  public var timeout: Duration

  public init(
    interval: Duration = .seconds(60), retryInterval: Duration = .seconds(1), timeout: Duration = .seconds(20)
  ) {
    self.interval = interval
    self.retryInterval = retryInterval
    self.timeout = timeout
  }
}
