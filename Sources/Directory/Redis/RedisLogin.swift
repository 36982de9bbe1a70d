/// What is the same for each server of an address.
struct RedisLogin: Sendable {
  var user: String?
  var password: String?
  var database: Int
  var sentinelUser: String?
  var sentinelPassword: String?
  var tls: RedisTLS?

  init(_ address: RedisAddress) {
    user = address.user
    password = address.password
    database = address.database
    sentinelUser = address.sentinelUser
    sentinelPassword = address.sentinelPassword
    tls = address.tls
  }

  static func authentication(user: String?, password: String) -> RedisPipeline {
    if let user { RedisPipeline("AUTH", user, password) } else { RedisPipeline("AUTH", password) }
  }
}
