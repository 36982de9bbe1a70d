/// Commands that one caller waits for.
struct RedisJob: Sendable {
  var pipeline: RedisPipeline
  var waiter: RedisWaiter
}
