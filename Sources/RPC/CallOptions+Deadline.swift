import GRPCCore

extension CallOptions {
  /// Options of a call that ends at `deadline`, however late it starts; without a limit where nil.
  public static func until(_ deadline: ContinuousClock.Instant?, waitForReady: Bool? = nil) -> CallOptions {
    var options = CallOptions.defaults
    options.timeout = deadline.map { max(.zero, ContinuousClock.now.duration(to: $0)) }
    options.waitForReady = waitForReady
    return options
  }
}
