/// Finds the server, connects and logs in. One thread.
struct RedisDial {
  private let target: RedisTarget
  private let login: RedisLogin
  private let configuration: RedisConfiguration
  private var sentinels: RedisSentinels?
  private var endpoint: RedisAddress.Endpoint?
  private var life: String?
  /// Times that another server, or the same one in another life, was reached than before.
  private(set) var possibleLosses = 0

  init(target: RedisTarget, login: RedisLogin, configuration: RedisConfiguration) {
    self.target = target
    self.login = login
    self.configuration = configuration
    if case .master(let endpoints, let name) = target {
      sentinels = RedisSentinels(endpoints, name: name, login: login, configuration: configuration)
    }
  }

  /// How often `check` is due; nil for never.
  var checkInterval: Duration? { sentinels == nil ? nil : configuration.sentinelInterval }

  /// What the sentinels say of the master.
  enum Check {
    case same
    case replaced(RedisFailure)
    /// None answered, which changes nothing.
    case unanswered
  }

  /// Asks the sentinels, as long as each of them may take, whether they still name the same master.
  mutating func check() -> Check {
    guard let master = try? sentinels?.master() else { return .unanswered }
    return master == endpoint ? .same : .replaced(RedisFailure(.connection, "the master is now \(master)"))
  }

  /// Connects to where the server is said to be. A sentinel that was cut off from the others may name the wrong one for ever:
  /// after a failure another is asked first.
  mutating func open() throws(RedisFailure) -> RedisLink {
    do throws(RedisFailure) {
      return try connect()
    } catch {
      sentinels?.doubt()
      throw error
    }
  }

  /// Logging in and the first PING belong to connecting: a server that takes connections may still not answer.
  private mutating func connect() throws(RedisFailure) -> RedisLink {
    let endpoint: RedisAddress.Endpoint
    switch target {
    case .server(let fixed), .node(let fixed): endpoint = fixed
    case .master: endpoint = try findMaster()
    }
    let deadline = ContinuousClock.now + configuration.connectTimeout
    let link = try RedisLink(
      to: endpoint, tls: login.tls, maximumReplyBytes: configuration.maximumReplyBytes, deadline: deadline)
    func greet(_ pipeline: RedisPipeline) throws(RedisFailure) {
      if case .error(let message)? = try link.ask(pipeline, deadline: deadline).first {
        throw RedisFailure(RedisFailure.kind(ofReply: message), message)
      }
    }
    if let password = login.password { try greet(RedisLogin.authentication(user: login.user, password: password)) }
    if login.database != 0 { try greet(RedisPipeline("SELECT", String(login.database))) }
    try greet(RedisPipeline("PING"))
    // A user that may ask neither gets the benefit of the doubt.
    let replies = try link.ask(RedisPipeline("ROLE"), deadline: deadline)
    if target.mustBeMaster, case .array(let parts)? = replies.first, parts.first == .text("slave") {
      throw RedisFailure(.readOnly, "the server at \(endpoint) is a replica")
    }
    let life = Self.life(try link.ask(RedisPipeline("INFO", "server"), deadline: deadline).first)
    if self.endpoint != nil, self.endpoint != endpoint || life == nil || self.life != life { possibleLosses += 1 }
    (self.endpoint, self.life) = (endpoint, life)
    return link
  }

  private mutating func findMaster() throws(RedisFailure) -> RedisAddress.Endpoint {
    guard let master = try sentinels?.master() else { throw RedisFailure(.connection, "no sentinel is known") }
    return master
  }

  /// The server's run id, which it draws at each start.
  private static func life(_ reply: RedisReply?) -> String? {
    guard case .text(let text)? = reply, let start = text.firstRange(of: "run_id:") else { return nil }
    return String(text[start.upperBound...].prefix { $0.isHexDigit })
  }
}
