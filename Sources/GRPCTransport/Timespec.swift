import CgRPC

extension gpr_timespec {
  static var never: gpr_timespec { gpr_inf_future(GPR_CLOCK_MONOTONIC) }

  init(after duration: Duration) {
    let (seconds, attoseconds) = duration.components
    let wait = gpr_time_add(
      gpr_time_from_seconds(seconds, GPR_TIMESPAN),
      gpr_time_from_nanos(attoseconds / 1_000_000_000, GPR_TIMESPAN))
    self = gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), wait)
  }

  /// What is left until this time; nil where it never comes.
  var remaining: Duration? {
    if gpr_time_cmp(self, gpr_inf_future(clock_type)) == 0 { return nil }
    let left = gpr_time_sub(self, gpr_now(clock_type))
    return .seconds(left.tv_sec) + .nanoseconds(Int64(left.tv_nsec))
  }
}
