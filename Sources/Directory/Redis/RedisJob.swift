/// Commands that one caller waits for.
struct RedisJob: Sendable {
  var commands: [RedisCommand]
  var waiter: RedisWaiter
}
