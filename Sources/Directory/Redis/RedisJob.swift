import ServingTypes

/// What one caller waits for: the replies to its commands, in their order, or why there are none.
typealias RedisWaiter = Arrival<Result<[RedisReply], RedisFailure>>

/// Commands that one caller waits for.
struct RedisJob: Sendable {
  var pipeline: RedisPipeline
  var waiter: RedisWaiter
  /// Leading bytes that the caller has sent itself.
  var sentBytes = 0
}
