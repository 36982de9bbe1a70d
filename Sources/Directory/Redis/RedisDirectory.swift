import Glibc
import ServingTypes

/// The directory in Redis.
///
/// Per block a hash, field = worker, value = `incarnation:tier:epoch:expiry`; per worker a lease with its record; see
/// `RedisKeys` for their names. Each lookup is one script call in one Redis Cluster slot.
public final class RedisDirectory: BlockDirectory {
  private struct State {
    var statistics = DirectoryStatistics()
    var health: DirectoryHealth?
    /// What Redis calls each script, by its text.
    var digests: [String: String] = [:]
  }

  private let connection: RedisConnection
  private let configuration: RedisConfiguration
  private let keys: RedisKeys
  private let state: Lock<State>
  private let report: @Sendable (DirectoryHealth) -> Void

  /// Starts connecting; whether the server is there shows in `statistics`.
  /// - Parameter onChange: told once per change of health, for the log; called on any thread.
  public init(
    address: RedisAddress, configuration: RedisConfiguration = RedisConfiguration(),
    onChange: @escaping @Sendable (DirectoryHealth) -> Void = { _ in }
  ) throws(ServingError) {
    self.configuration = configuration
    keys = RedisKeys(prefix: configuration.keyPrefix)
    let state = Lock(State())
    self.state = state
    let report: @Sendable (DirectoryHealth) -> Void = { health in
      let isNews = state.withLock { state in
        // One error after another is no news, whatever each of them says.
        let isNews =
          switch (state.health, health) {
          case (.connected, .connected), (.disconnected, .disconnected), (.failing, .failing): false
          default: true
          }
        state.health = health
        return isNews
      }
      if isNews { onChange(health) }
    }
    self.report = report
    connection = try RedisConnection(address: address, configuration: configuration, onChange: report)
  }

  /// Fails whatever waits and ends the connection.
  public func close() { connection.close() }

  public var statistics: DirectoryStatistics {
    var statistics = state.withLock { $0.statistics }
    statistics.isConnected = connection.isConnected
    statistics.pendingCommands = connection.pendingCommands
    statistics.reconnects = max(0, connection.reconnects - 1)
    return statistics
  }

  public func longestPrefixes(_ query: PrefixQuery) async throws(ServingError) -> [WorkerID: CachedPrefix] {
    guard let chain = query.hashes.first, !query.holders.isEmpty else { return [:] }
    let start = ContinuousClock.now
    let holders = query.holders.prefix(configuration.maximumWorkers)
    let range = RedisKeys.slot(chain: chain) * DirectoryStatistics.slotRanges / RedisKeys.slotCount
    var packed = ""
    packed.reserveCapacity(query.hashes.count * 2 * BlockHash.byteCount)
    for hash in query.hashes.prefix(configuration.maximumLookupBlocks) { packed += hash.description }
    var arguments = [packed, String(configuration.maximumDeletions)]
    for holder in holders {
      arguments += [holder.worker.value, holder.incarnation.description, String(holder.epoch)]
    }
    let keys = [keys.blockPrefix(chain: chain, layoutDigest: query.layoutDigest)]
    do {
      let reply = try await withTimeout(configuration.lookupTimeout) { [arguments] () async throws(ServingError) in
        try await self.evaluate(.longestPrefixes, keys: keys, arguments: arguments)
      }
      let counts = try Self.counts(reply, expected: 2 + 3 * holders.count)
      var result: [WorkerID: CachedPrefix] = [:]
      for (index, holder) in holders.enumerated() {
        let (all, near, device) = (counts[2 + 3 * index], counts[3 + 3 * index], counts[4 + 3 * index])
        guard all > 0 else { continue }
        let host = min(max(near, device), all)
        result[holder.worker] = CachedPrefix(device: device, host: host - device, file: all - host)
      }
      if counts[0] > 0 { noteError(ServingError(.dataLoss, "\(counts[0]) block keys are not hashes")) }
      finishLookup(start, slotRange: range, deleted: counts[1], failed: counts[0] > 0)
      return result
    } catch {
      noteError(error)
      finishLookup(start, slotRange: range, deleted: 0, failed: true)
      throw error
    }
  }

  private func finishLookup(_ start: ContinuousClock.Instant, slotRange: Int, deleted: Int, failed: Bool) {
    let now = ContinuousClock.now
    state.withLock { state in
      state.statistics.lookups += 1
      state.statistics.lookupSeconds += (now - start).inSeconds
      state.statistics.lookupsBySlotRange[slotRange] += 1
      state.statistics.deletedFields += deleted
      if failed { state.statistics.lookupErrors += 1 }
    }
  }

  public func workers() async throws(ServingError) -> [WorkerRecord] {
    try await noting { () async throws(ServingError) in
      let reply = try await self.evaluate(
        .workers, keys: [self.keys.roster],
        arguments: [self.keys.leasePrefix, String(self.configuration.maximumWorkers)])
      guard case .array(let leases) = reply else { throw Self.unexpected(reply) }
      var records: [WorkerRecord] = []
      for lease in leases {
        // One broken lease must not hide the others.
        do throws(ServingError) {
          records.append(try WorkerRecord(fields: try Self.fields(lease)))
        } catch {
          self.noteError(error)
        }
      }
      return records.sorted { $0.id < $1.id }
    }
  }

  public func renewLease(_ record: WorkerRecord, lifetime: Duration) async throws(ServingError) -> Bool {
    var arguments = [
      record.id.value, record.reference.incarnation.description, String(lifetime.wholeMilliseconds),
    ]
    for (name, value) in record.fields { arguments += [name, value] }
    return try await noting { [arguments] () async throws(ServingError) in
      let reply = try await self.evaluate(
        .renewLease, keys: [self.keys.lease(record.id), self.keys.roster], arguments: arguments)
      guard case .integer(let held) = reply else { throw Self.unexpected(reply) }
      return held == 1
    }
  }

  public func withdrawLease(_ reference: WorkerReference) async throws(ServingError) {
    try await noting { () async throws(ServingError) in
      _ = try await self.evaluate(
        .withdrawLease, keys: [self.keys.lease(reference.id), self.keys.roster],
        arguments: [reference.id.value, reference.incarnation.description], isCancellable: false)
    }
  }

  public func announce(
    _ blocks: [CachedBlock], as worker: AnnouncingWorker, lifetime: Duration
  ) async throws(ServingError) {
    let seconds = lifetime.wholeSeconds
    let expiry = time(nil) + seconds
    var commands: [RedisCommand] = []
    commands.reserveCapacity(2 * blocks.count)
    for block in blocks {
      let key = keys.blockPrefix(chain: block.chain, layoutDigest: worker.layoutDigest) + block.hash.description
      let value = "\(worker.incarnation):\(block.tier.letter):\(worker.epoch):\(expiry)"
      commands.append(RedisCommand("HSET", key, worker.worker.value, value))
      commands.append(RedisCommand("EXPIRE", key, String(seconds)))
    }
    try await send(commands)
    state.withLock { $0.statistics.announcedBlocks += blocks.count }
  }

  public func withdraw(_ blocks: [CachedBlock], as worker: AnnouncingWorker) async throws(ServingError) {
    try await send(
      blocks.map { block in
        let key = keys.blockPrefix(chain: block.chain, layoutDigest: worker.layoutDigest) + block.hash.description
        return RedisCommand("HDEL", key, worker.worker.value)
      })
    state.withLock { $0.statistics.withdrawnBlocks += blocks.count }
  }

  /// Sends the commands; a wrong-typed key is counted and passed over, for it concerns one block alone.
  private func send(_ commands: [RedisCommand]) async throws(ServingError) {
    try await noting { () async throws(ServingError) in
      for reply in try await self.connection.execute(commands) {
        guard case .error(let message) = reply else { continue }
        let error = ServingError(.unavailable, "Redis refused a command: \(message)")
        guard message.hasPrefix("WRONGTYPE") else { throw error }
        self.noteError(error)
      }
    }
  }

  private func evaluate(
    _ script: RedisScript, keys: [String], arguments: [String], isCancellable: Bool = true
  ) async throws(ServingError) -> RedisReply {
    let digest = try await digest(of: script, isCancellable: isCancellable)
    var byDigest = RedisCommand("EVALSHA", digest, String(keys.count))
    for argument in keys + arguments { byDigest.append(argument) }
    var reply = try await connection.execute([byDigest], isCancellable: isCancellable).first ?? .null
    if case .error(let message) = reply, message.hasPrefix("NOSCRIPT") {
      var byText = RedisCommand("EVAL", script.text, String(keys.count))
      for argument in keys + arguments { byText.append(argument) }
      reply = try await connection.execute([byText], isCancellable: isCancellable).first ?? .null
    }
    if case .error(let message) = reply {
      throw ServingError(.unavailable, "Redis refused a command: \(message)")
    }
    return reply
  }

  private func digest(of script: RedisScript, isCancellable: Bool) async throws(ServingError) -> String {
    if let known = state.withLock({ $0.digests[script.text] }) { return known }
    let load = RedisCommand("SCRIPT", "LOAD", script.text)
    let reply = try await connection.execute([load], isCancellable: isCancellable).first ?? .null
    guard case .text(let digest) = reply else { throw Self.unexpected(reply) }
    state.withLock { $0.digests[script.text] = digest }
    return digest
  }

  private func noting<Value: Sendable>(
    _ body: () async throws(ServingError) -> Value
  ) async throws(ServingError) -> Value {
    do {
      let errors = state.withLock { $0.statistics.errors }
      let value = try await body()
      let isClean = state.withLock { state in
        state.statistics.lastSuccess = ContinuousClock.now
        return state.statistics.errors == errors
      }
      if isClean, connection.isConnected { report(.connected) }
      return value
    } catch {
      noteError(error)
      throw error
    }
  }

  private func noteError(_ error: ServingError) {
    if error.code == .cancelled { return }
    state.withLock { $0.statistics.errors += 1 }
    // The connection itself reports that it is away.
    if connection.isConnected { report(.failing(reason: error.message)) }
  }

  private static func unexpected(_ reply: RedisReply) -> ServingError {
    ServingError(.dataLoss, "Redis gave an unexpected reply: \(String(describing: reply).prefix(200))")
  }

  private static func counts(_ reply: RedisReply, expected: Int) throws(ServingError) -> [Int] {
    guard case .array(let elements) = reply, elements.count == expected else { throw unexpected(reply) }
    var counts: [Int] = []
    counts.reserveCapacity(expected)
    for element in elements {
      guard case .integer(let value) = element, value >= 0 else { throw unexpected(reply) }
      counts.append(value)
    }
    return counts
  }

  private static func fields(_ reply: RedisReply) throws(ServingError) -> [String: String] {
    guard case .array(let elements) = reply, elements.count.isMultiple(of: 2) else { throw unexpected(reply) }
    var fields: [String: String] = [:]
    for index in stride(from: 0, to: elements.count, by: 2) {
      guard case .text(let name) = elements[index], case .text(let value) = elements[index + 1] else {
        throw unexpected(reply)
      }
      fields[name] = value
    }
    return fields
  }
}

extension CacheTier {
  fileprivate var letter: Character {
    switch self {
    case .device: "d"
    case .host: "h"
    case .file: "f"
    }
  }
}
