/// Asks sentinels where a master is. One thread.
struct RedisSentinels {
  let name: String
  let login: RedisLogin
  let configuration: RedisConfiguration
  /// The one that answered last comes first.
  private var endpoints: [RedisAddress.Endpoint]

  init(
    _ endpoints: [RedisAddress.Endpoint], name: String, login: RedisLogin, configuration: RedisConfiguration
  ) {
    self.endpoints = endpoints
    self.name = name
    self.login = login
    self.configuration = configuration
  }

  /// The master's place, by the first sentinel that knows one.
  mutating func master() throws(RedisFailure) -> RedisAddress.Endpoint {
    var failure = RedisFailure(.connection, "no sentinel is known")
    for (index, sentinel) in endpoints.enumerated() {
      do throws(RedisFailure) {
        let master = try ask(sentinel)
        endpoints.remove(at: index)
        endpoints.insert(sentinel, at: 0)
        return master
      } catch {
        failure = RedisFailure(error.kind ?? .connection, "sentinel \(sentinel): \(error.error.message)")
      }
    }
    throw failure
  }

  /// What the first one said was of no use: the others are asked before it.
  mutating func doubt() {
    if endpoints.count > 1 { endpoints.append(endpoints.removeFirst()) }
  }

  private func ask(_ sentinel: RedisAddress.Endpoint) throws(RedisFailure) -> RedisAddress.Endpoint {
    let deadline = ContinuousClock.now + configuration.sentinelTimeout
    let link = try RedisLink(
      to: sentinel, tls: login.tls, maximumReplyBytes: configuration.maximumReplyBytes, deadline: deadline)
    if let password = login.sentinelPassword {
      let reply = try link.ask(
        RedisLogin.authentication(user: login.sentinelUser, password: password), deadline: deadline)
      if case .error(let message)? = reply.first { throw RedisFailure(reply: message) }
    }
    let question = RedisPipeline("SENTINEL", "GET-MASTER-ADDR-BY-NAME", name)
    var reply = try link.ask(question, deadline: deadline).first
    if case .error(let message)? = reply, RedisFailure.kind(ofReply: message) == .authentication,
      login.sentinelPassword == nil, let password = login.password
    {
      // Many installations give sentinels the servers' password.
      _ = try link.ask(RedisLogin.authentication(user: login.user, password: password), deadline: deadline)
      reply = try link.ask(question, deadline: deadline).first
    }
    switch reply {
    case .error(let message)?: throw RedisFailure(reply: message)
    case .array(let parts)?:
      guard parts.count == 2, case .text(let host) = parts[0], case .text(let digits) = parts[1],
        let port = Int(digits), (1...65_535).contains(port), !host.isEmpty
      else { throw RedisFailure(unexpected: .array(parts)) }
      return .tcp(host: host, port: port)
    case .null?: throw RedisFailure(.connection, "no master of the name '\(name)' is known")
    case let other?: throw RedisFailure(unexpected: other)
    case nil: throw RedisFailure(.malformed, "no reply")
    }
  }
}
