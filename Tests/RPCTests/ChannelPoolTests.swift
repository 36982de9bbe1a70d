import GRPCCore
import RPC
import ServingProtos
import ServingTypes
import Testing

@Suite(.timeLimit(.minutes(3)))
struct ChannelPoolTests {
  private let first = ServerAddress(host: "127.0.0.1", port: 1)
  private let second = ServerAddress(host: "127.0.0.1", port: 2)
  private let third = ServerAddress(host: "127.0.0.1", port: 3)

  @Test func callersOfOneAddressShareAClient() async throws {
    let pool = try ChannelPool()
    let one = try await pool.withClient(of: first, for: .tokens) { ObjectIdentifier($0) }
    let again = try await pool.withClient(of: first, for: .tokens) { ObjectIdentifier($0) }
    #expect(one == again)
    #expect(pool.channelCount == 1)
    try await pool.withClient(of: first, for: .blocks) { #expect(ObjectIdentifier($0) != one) }
    #expect(pool.channelCount == 2)
  }

  @Test func idleClientsAreClosedAndUsedOnesAreNot() async throws {
    let time = Lock(ContinuousClock.now)
    var configuration = ChannelPool.Configuration()
    configuration.idleTimeout = .seconds(60)
    let pool = try ChannelPool(configuration: configuration, now: { time.withLock { $0 } })
    try await pool.withClient(of: first, for: .tokens) { _ in
      try await pool.withClient(of: second, for: .tokens) { _ in }
      time.withLock { $0 = $0.advanced(by: .seconds(61)) }
      pool.closeIdle()
      #expect(pool.channelCount == 1)
    }
    pool.closeIdle()
    #expect(pool.channelCount == 1)
    time.withLock { $0 = $0.advanced(by: .seconds(61)) }
    try await pool.withClient(of: third, for: .tokens) { _ in }
    #expect(pool.channelCount == 1)
  }

  /// A new one takes its place, whose users are its own.
  @Test func anAbandonedClientIsReplaced() async throws {
    let time = Lock(ContinuousClock.now)
    let pool = try ChannelPool(now: { time.withLock { $0 } })
    try await pool.withClient(of: first, for: .tokens) { old in
      pool.abandon(first, for: .tokens)
      #expect(pool.channelCount == 0)
      try await pool.withClient(of: first, for: .tokens) { #expect(ObjectIdentifier($0) != ObjectIdentifier(old)) }
    }
    time.withLock { $0 = $0.advanced(by: .seconds(3600)) }
    try await pool.withClient(of: first, for: .tokens) { _ in
      pool.closeIdle()
      #expect(pool.channelCount == 1, "the end of the old one's user took a user off the new one")
    }
    pool.abandon(second, for: .tokens)
  }

  @Test func theLimitClosesTheOldestIdleOneOrRefuses() async throws {
    let time = Lock(ContinuousClock.now)
    var configuration = ChannelPool.Configuration()
    configuration.maxChannels = 2
    let pool = try ChannelPool(configuration: configuration, now: { time.withLock { $0 } })
    let old = try await pool.withClient(of: first, for: .tokens) { ObjectIdentifier($0) }
    time.withLock { $0 = $0.advanced(by: .seconds(1)) }
    try await pool.withClient(of: second, for: .tokens) { _ in
      try await pool.withClient(of: third, for: .tokens) { _ in
        #expect(pool.channelCount == 2)
        let error = await #expect(throws: ServingError.self) {
          try await pool.withClient(of: ServerAddress(host: "127.0.0.1", port: 1), for: .tokens) { _ in }
        }
        #expect(error?.code == .resourceExhausted)
      }
    }
    _ = old
    #expect(pool.channelCount == 2)
  }

  @Test func aClosedPoolRefuses() async throws {
    let health = HealthService()
    health.set(.serving)
    try await withServer([health]) { server in
      let pool = try ChannelPool()
      let address = try ServerAddress(server.address)
      let status = try await pool.withClient(of: address, for: .tokens) { client in
        // What is under way when the pool closes ends well.
        try await Grpc_Health_V1_Health.Client(wrapping: client).watch(.init()) { response in
          for try await message in response.messages {
            pool.close()
            return message.status
          }
          return .unknown
        }
      }
      #expect(status == .serving)
      let error = await #expect(throws: ServingError.self) {
        try await pool.withClient(of: address, for: .tokens) { _ in }
      }
      #expect(error?.code == .unavailable)
      #expect(pool.channelCount == 0)
    }
  }
}
