import GRPCCore
import ServingTypes

extension CallOptions {
  /// Options of a call that ends at `deadline`, however late it starts; without a limit where nil.
  public static func until(
    _ deadline: ContinuousClock.Instant?, on clock: ServingClock = .continuous, waitForReady: Bool? = nil
  ) -> CallOptions {
    var options = CallOptions.defaults
    options.timeout = deadline.map { max(.zero, clock.now.duration(to: $0)) + clock.callAllowance }
    options.waitForReady = waitForReady
    return options
  }
}
