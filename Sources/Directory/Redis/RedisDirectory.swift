import Glibc
import ServingTypes

/// The directory in Redis: one server, a master behind sentinels, or a cluster.
///
/// Per block a hash, field = worker, value = `incarnation:tier:epoch:expiry`; per worker a lease with its record; see
/// `RedisKeys` for their names. Each lookup is one script call in one Redis Cluster slot.
public final class RedisDirectory: BlockDirectory {
  private struct State {
    var statistics = DirectoryStatistics()
    var health = HealthLog()
  }

  private let servers: RedisServers
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
    let quiet = configuration.quietTime
    let report: @Sendable (DirectoryHealth) -> Void = { health in
      if state.withLock({ $0.health.isNews(health, at: .now, quiet: quiet) }) { onChange(health) }
    }
    self.report = report
    servers = try RedisServers(address, configuration: configuration) { loss in
      report(.disconnected(reason: loss.error.message))
    }
  }

  /// Fails whatever waits and ends the connections.
  public func close() { servers.close() }

  public var statistics: DirectoryStatistics {
    var statistics = state.withLock { $0.statistics }
    let counts = servers.counts
    statistics.isConnected = counts.isConnected
    statistics.servers = counts.servers
    statistics.pendingCommands = counts.pendingCommands
    statistics.reconnects = counts.reconnects
    statistics.redirections = counts.redirections
    statistics.topologyRefreshes = counts.topologyRefreshes
    statistics.possibleLosses = counts.possibleLosses
    return statistics
  }

  public func longestPrefixes(_ query: PrefixQuery) async throws(ServingError) -> [WorkerID: CachedPrefix] {
    guard let chain = query.hashes.first, !query.holders.isEmpty else { return [:] }
    let start = ContinuousClock.now
    let holders = query.holders.prefix(configuration.maximumWorkers)
    let slot = RedisKeys.slot(chain: chain)
    let prefix = keys.blockPrefix(chain: chain, layoutDigest: query.layoutDigest)
    let hashes = query.hashes.prefix(configuration.maximumLookupBlocks)
    var arguments = RedisPipeline()
    arguments.append(hashes)
    arguments.append(String(configuration.maximumDeletions))
    for holder in holders {
      arguments.append(holder.worker.value)
      arguments.append(holder.incarnation.description)
      arguments.append(String(holder.epoch))
    }
    let call = RedisScript.Call(
      .longestPrefixes, keys: [prefix], encoded: arguments.bytes, count: 2 + 3 * holders.count, slot: slot)
    do throws(RedisFailure) {
      let reply = try await evaluate(call, patience: RedisPatience(deadline: start + configuration.lookupTimeout))
      let counts = try Self.counts(reply, expected: 2 + 3 * holders.count)
      var result: [WorkerID: CachedPrefix] = [:]
      for (index, holder) in holders.enumerated() {
        let (all, near, device) = (counts[2 + 3 * index], counts[3 + 3 * index], counts[4 + 3 * index])
        guard all > 0 else { continue }
        let blocks = min(all, hashes.count)
        let host = min(max(near, device), blocks)
        result[holder.worker] = CachedPrefix(
          device: min(device, host), host: host - min(device, host), file: blocks - host)
      }
      if counts[0] > 0 {
        note(RedisFailure(.wrongType, .dataLoss, "\(counts[0]) block keys are not hashes"), count: counts[0])
      } else if servers.counts.isConnected {
        // One master of a cluster answered; all must be there.
        report(.connected)
      }
      finishLookup(start, slot: slot, deleted: counts[1], failed: counts[0] > 0)
      return result
    } catch {
      note(error)
      finishLookup(start, slot: slot, deleted: 0, failed: true)
      throw error.error
    }
  }

  private func finishLookup(_ start: ContinuousClock.Instant, slot: UInt16, deleted: Int, failed: Bool) {
    let now = ContinuousClock.now
    let range = Int(slot) * DirectoryStatistics.slotRanges / RedisKeys.slotCount
    state.withLock { state in
      state.statistics.lookups += 1
      state.statistics.lookupSeconds += (now - start).inSeconds
      state.statistics.lookupsBySlotRange[range] += 1
      state.statistics.deletedFields += deleted
      if failed { state.statistics.lookupErrors += 1 }
    }
  }

  public func workers() async throws(ServingError) -> [WorkerRecord] {
    try await noting { () async throws(RedisFailure) in
      let reply = try await self.evaluate(
        RedisScript.Call(
          .workers, keys: [self.keys.roster],
          arguments: [self.keys.leasePrefix, String(self.configuration.maximumWorkers)], slot: RedisKeys.workersSlot))
      guard case .array(let leases) = reply, leases.count <= self.configuration.maximumWorkers else {
        throw RedisFailure(unexpected: reply)
      }
      var records: [WorkerRecord] = []
      for lease in leases {
        // One broken lease must not hide the others.
        do {
          records.append(try WorkerRecord(fields: try Self.fields(lease)))
        } catch let error as ServingError {
          self.note(RedisFailure(.malformed, error.code, error.message))
        } catch let failure as RedisFailure {
          self.note(failure)
        } catch {}
      }
      return records.sorted { $0.id < $1.id }
    }
  }

  public func renewLease(_ record: WorkerRecord, lifetime: Duration) async throws(ServingError) -> Bool {
    var arguments = [
      record.id.value, record.reference.incarnation.description, String(lifetime.wholeMilliseconds),
    ]
    for (name, value) in record.fields { arguments += [name, value] }
    let call = RedisScript.Call(
      .renewLease, keys: [keys.lease(record.id), keys.roster], arguments: arguments, slot: RedisKeys.workersSlot)
    return try await noting { () async throws(RedisFailure) in
      // A worker that drains says so while its tasks are being cancelled.
      let reply = try await self.evaluate(call, patience: RedisPatience(isCancellable: !record.isDraining))
      guard case .integer(let held) = reply else { throw RedisFailure(unexpected: reply) }
      return held == 1
    }
  }

  public func withdrawLease(_ reference: WorkerReference) async throws(ServingError) {
    let call = RedisScript.Call(
      .withdrawLease, keys: [keys.lease(reference.id), keys.roster],
      arguments: [reference.id.value, reference.incarnation.description], slot: RedisKeys.workersSlot)
    try await noting { () async throws(RedisFailure) in
      _ = try await self.evaluate(call, patience: RedisPatience(isCancellable: false))
    }
  }

  public func announce(
    _ blocks: [CachedBlock], as worker: AnnouncingWorker, lifetime: Duration
  ) async throws(ServingError) {
    let seconds = lifetime.wholeSeconds
    let expiry = time(nil) + seconds
    let tail = RedisPipeline.encoded(String(seconds))
    func field(_ tier: CacheTier) -> [UInt8] {
      RedisPipeline.encoded(worker.worker.value, "\(worker.incarnation):\(tier.letter):\(worker.epoch):\(expiry)")
    }
    let fields = [field(.device), field(.host), field(.file)]
    let set = RedisPipeline.encoded("HSET")
    let expire = RedisPipeline.encoded("EXPIRE")
    let pipeline = perBlock(blocks, layoutDigest: worker.layoutDigest, bytesPerBlock: 360) {
      pipeline, block, prefix, slot in
      pipeline.begin(arguments: 4)
      pipeline.append(encoded: set)
      pipeline.append(prefix, block.hash)
      pipeline.append(encoded: fields[block.tier.index])
      pipeline.end(slot: slot)
      pipeline.begin(arguments: 3)
      pipeline.append(encoded: expire)
      pipeline.append(prefix, block.hash)
      pipeline.append(encoded: tail)
      pipeline.end(slot: slot)
    }
    try await send(pipeline)
    state.withLock { $0.statistics.announcedBlocks += blocks.count }
  }

  public func withdraw(_ blocks: [CachedBlock], as worker: AnnouncingWorker) async throws(ServingError) {
    let delete = RedisPipeline.encoded("HDEL")
    let name = RedisPipeline.encoded(worker.worker.value)
    let pipeline = perBlock(blocks, layoutDigest: worker.layoutDigest, bytesPerBlock: 180) {
      pipeline, block, prefix, slot in
      pipeline.begin(arguments: 3)
      pipeline.append(encoded: delete)
      pipeline.append(prefix, block.hash)
      pipeline.append(encoded: name)
      pipeline.end(slot: slot)
    }
    try await send(pipeline)
    state.withLock { $0.statistics.withdrawnBlocks += blocks.count }
  }

  /// Commands for each block, with what its key begins with and its slot, which neighbours mostly share.
  private func perBlock(
    _ blocks: [CachedBlock], layoutDigest: String, bytesPerBlock: Int,
    _ append: (inout RedisPipeline, CachedBlock, [UInt8], UInt16) -> Void
  ) -> RedisPipeline {
    var pipeline = RedisPipeline()
    pipeline.reserve(commands: 2 * blocks.count, bytes: bytesPerBlock * blocks.count)
    var chain: BlockHash?
    var prefix: [UInt8] = []
    var slot: UInt16 = 0
    for block in blocks {
      if block.chain != chain {
        chain = block.chain
        prefix = Array(keys.blockPrefix(chain: block.chain, layoutDigest: layoutDigest).utf8)
        slot = RedisKeys.slot(chain: block.chain)
      }
      append(&pipeline, block, prefix, slot)
    }
    return pipeline
  }

  /// Sends the commands; a wrong-typed key is counted and passed over, for it concerns one block alone.
  private func send(_ pipeline: RedisPipeline) async throws(ServingError) {
    if pipeline.count == 0 { return }
    try await noting { () async throws(RedisFailure) in
      for reply in try await self.servers.execute(pipeline) {
        guard case .error(let message) = reply else { continue }
        let failure = RedisFailure(reply: message)
        guard failure.kind == .wrongType else { throw failure }
        self.note(failure)
      }
    }
  }

  private func evaluate(
    _ call: RedisScript.Call, patience: RedisPatience = RedisPatience()
  ) async throws(RedisFailure) -> RedisReply {
    var reply = try await servers.execute(call.byDigest, patience: patience).first ?? .null
    // Each node of a cluster learns a script when it first needs it.
    if case .error(let message) = reply, message.hasPrefix("NOSCRIPT") {
      reply = try await servers.execute(call.byText, patience: patience).first ?? .null
    }
    if case .error(let message) = reply { throw RedisFailure(reply: message) }
    return reply
  }

  private func noting<Value: Sendable>(
    _ body: () async throws(RedisFailure) -> Value
  ) async throws(ServingError) -> Value {
    do throws(RedisFailure) {
      let errors = state.withLock { $0.statistics.errors }
      let value = try await body()
      let isClean = state.withLock { state in
        state.statistics.lastSuccess = ContinuousClock.now
        return state.statistics.errors == errors
      }
      if isClean, servers.counts.isConnected { report(.connected) }
      return value
    } catch {
      note(error)
      throw error.error
    }
  }

  private func note(_ failure: RedisFailure, count: Int = 1) {
    guard let kind = failure.kind else { return }
    state.withLock { state in
      state.statistics.errors += 1
      state.statistics.failures[kind, default: 0] += count
    }
    // The connection itself reports that it is away.
    if servers.counts.isConnected { report(.failing(kind, reason: failure.error.message)) }
  }

  private static func counts(_ reply: RedisReply, expected: Int) throws(RedisFailure) -> [Int] {
    guard case .array(let elements) = reply, elements.count == expected else { throw RedisFailure(unexpected: reply) }
    var counts: [Int] = []
    counts.reserveCapacity(expected)
    for element in elements {
      guard case .integer(let value) = element, value >= 0 else { throw RedisFailure(unexpected: reply) }
      counts.append(value)
    }
    return counts
  }

  private static func fields(_ reply: RedisReply) throws(RedisFailure) -> [String: String] {
    guard case .array(let elements) = reply, elements.count.isMultiple(of: 2) else {
      throw RedisFailure(unexpected: reply)
    }
    var fields: [String: String] = [:]
    for index in stride(from: 0, to: elements.count, by: 2) {
      guard case .text(let name) = elements[index], case .text(let value) = elements[index + 1] else {
        throw RedisFailure(unexpected: reply)
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

  fileprivate var index: Int {
    switch self {
    case .device: 0
    case .host: 1
    case .file: 2
    }
  }
}
