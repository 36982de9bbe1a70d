import GRPCCore
import GRPCTransport
import ServingTypes

/// The clients of other servers: one for each address and purpose, shared by all who call it, closed when idle.
///
/// Tokens and blocks have connections and completion queues of their own, so that tokens never wait behind blocks.
public final class ChannelPool: Sendable {
  /// What a connection carries.
  public enum Purpose: Hashable, Sendable, CaseIterable {
    /// Many small messages.
    case tokens
    /// Messages of megabytes.
    case blocks
  }

  /// Settings with their defaults.
  public struct Configuration: Sendable {
    public var security = ClientSecurity.plaintext
    public var limits = MessageLimits()
    public var keepalive: Keepalive? = Keepalive()
    /// Clients in all. Beyond, an idle one is closed for a new one; where none is idle, the call is refused.
    public var maxChannels = 256
    /// A client that nobody used for this long is closed.
    public var idleTimeout = Duration.seconds(300)
    /// Calls under way on one client.
    public var maxConcurrentCallsPerChannel = 1024
    public var interceptors: [any ClientInterceptor] = []

    public init() {}
  }

  public typealias Client = GRPCClient<PooledTransport>

  /// Makes the transport to an address.
  package typealias Connect = @Sendable (ServerAddress, Purpose) throws -> PooledTransport

  private struct Key: Hashable {
    var address: ServerAddress
    var purpose: Purpose
  }

  private struct Entry {
    /// Tells it from those that have the same key before and after it.
    let number: UInt64
    let client: Client
    let transport: PooledTransport
    var users = 0
    var lastUse: ContinuousClock.Instant
  }

  private struct State {
    var entries: [Key: Entry] = [:]
    var nextNumber: UInt64 = 0
    var isClosed = false
  }

  private let configuration: Configuration
  private let connect: Connect
  private let now: @Sendable () -> ContinuousClock.Instant
  private let state = Lock(State())

  /// - Parameters:
  ///   - queue: serves all connections; where nil, those that carry tokens and those that carry blocks have one of their own
  ///     each. The library lets any queue's thread wait for the sockets of all: with one thread nobody wakes another.
  ///   - now: the clock, for tests.
  /// - Throws: `ServingError` where no threads can be had.
  public convenience init(
    configuration: Configuration = .init(), queue: CompletionQueue? = nil,
    now: @escaping @Sendable () -> ContinuousClock.Instant = { .now }
  ) throws(ServingError) {
    let queues: [Purpose: CompletionQueue]
    do {
      queues = [
        .tokens: try queue ?? CompletionQueue(name: "grpc-tokens"),
        .blocks: try queue ?? CompletionQueue(name: "grpc-blocks"),
      ]
    } catch {
      throw ServingError(any: error)
    }
    self.init(configuration: configuration, now: now) { address, purpose in
      try Self.connect(to: address, for: purpose, configuration, queues)
    }
  }

  /// - Parameter connect: makes the transports, in a simulation for example.
  package init(
    configuration: Configuration = .init(), now: @escaping @Sendable () -> ContinuousClock.Instant = { .now },
    connect: @escaping Connect
  ) {
    self.configuration = configuration
    self.now = now
    self.connect = connect
  }

  deinit { close() }

  /// The clients open.
  public var channelCount: Int { state.withLock { $0.entries.count } }

  /// Runs `body` with the client of an address, which stays open meanwhile.
  ///
  /// - Throws: what `body` throws; `ServingError` with code `resourceExhausted` where all clients are in use,
  ///   `unavailable` where the pool is closed.
  public func withClient<Result>(
    of address: ServerAddress, for purpose: Purpose, isolation: isolated (any Actor)? = #isolation,
    _ body: (Client) async throws -> Result
  ) async throws -> Result {
    let key = Key(address: address, purpose: purpose)
    let entry = try acquire(key)
    defer { release(key, entry.number) }
    return try await body(entry.client)
  }

  /// Closes the clients that were idle too long. Each use does it too: only a pool that is no longer used needs it.
  public func closeIdle() {
    let idle = state.withLock { expire(in: &$0) }
    for transport in idle { transport.beginGracefulShutdown() }
  }

  /// Closes all clients; calls under way go on to their end, new ones are refused.
  public func close() {
    let transports = state.withLock { state in
      defer { state.entries = [:] }
      state.isClosed = true
      return state.entries.values.map(\.transport)
    }
    for transport in transports { transport.beginGracefulShutdown() }
  }

  /// Forgets the client of an address, whose connection leads nowhere: the next call makes a new one. Calls under way on it are
  /// left to their callers.
  public func abandon(_ address: ServerAddress, for purpose: Purpose) {
    let entry = state.withLock { $0.entries.removeValue(forKey: Key(address: address, purpose: purpose)) }
    entry?.transport.beginGracefulShutdown()
  }

  private func acquire(_ key: Key) throws(ServingError) -> Entry {
    var closed: [PooledTransport] = []
    defer { for transport in closed { transport.beginGracefulShutdown() } }
    return try state.withLock { state throws(ServingError) -> Entry in
      if state.isClosed { throw ServingError(.unavailable, "the server is shutting down", retryAfter: .seconds(1)) }
      closed = expire(in: &state, except: key)
      if var entry = state.entries[key] {
        entry.users += 1
        entry.lastUse = now()
        state.entries[key] = entry
        return entry
      }
      if state.entries.count >= configuration.maxChannels {
        guard
          let oldest = state.entries.filter({ $0.value.users == 0 }).min(by: { $0.value.lastUse < $1.value.lastUse })
        else {
          throw ServingError(
            .resourceExhausted, "\(state.entries.count) connections are in use, which is the limit",
            retryAfter: .seconds(1))
        }
        closed.append(oldest.value.transport)
        state.entries.removeValue(forKey: oldest.key)
      }
      state.nextNumber += 1
      let entry = try makeEntry(key, number: state.nextNumber)
      state.entries[key] = entry
      return entry
    }
  }

  private func release(_ key: Key, _ number: UInt64) {
    let time = now()
    state.withLock { state in
      guard state.entries[key]?.number == number else { return }
      state.entries[key]?.users -= 1
      state.entries[key]?.lastUse = time
    }
  }

  private func expire(in state: inout State, except kept: Key? = nil) -> [PooledTransport] {
    let limit = now().advanced(by: .zero - configuration.idleTimeout)
    var closed: [PooledTransport] = []
    for (key, entry) in state.entries where entry.users == 0 && entry.lastUse < limit && key != kept {
      closed.append(entry.transport)
      state.entries.removeValue(forKey: key)
    }
    return closed
  }

  private func makeEntry(_ key: Key, number: UInt64) throws(ServingError) -> Entry {
    do {
      let transport = try connect(key.address, key.purpose)
      let client = Client(transport: transport, interceptors: [TraceInterceptor()] + configuration.interceptors)
      return Entry(number: number, client: client, transport: transport, users: 1, lastUse: now())
    } catch {
      throw ServingError(any: error)
    }
  }

  private static func connect(
    to address: ServerAddress, for purpose: Purpose, _ configuration: Configuration,
    _ queues: [Purpose: CompletionQueue]
  ) throws -> PooledTransport {
    var settings = LibGRPCClientTransport.Configuration()
    settings.security = configuration.security
    settings.limits = configuration.limits
    settings.keepalive = configuration.keepalive
    settings.maxConcurrentCalls = configuration.maxConcurrentCallsPerChannel
    settings.http2 = purpose == .blocks ? .bulk : .small
    return .network(
      try LibGRPCClientTransport(target: address.description, configuration: settings, queue: queues[purpose]))
  }
}
