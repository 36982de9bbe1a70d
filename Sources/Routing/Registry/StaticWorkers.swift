import Directory
import RPC
import ServingProtos
import ServingTypes

/// Workers at known addresses, asked about themselves; for a system without Redis.
final class StaticWorkers: Sendable {
  private let addresses: [ServerAddress]
  private let channels: ChannelPool
  private let timeout: Duration
  private let clock: ServingClock
  private let round = Lock(0)

  init(addresses: [ServerAddress], channels: ChannelPool, timeout: Duration = .seconds(2), clock: ServingClock) {
    self.addresses = addresses
    self.channels = channels
    self.timeout = timeout
    self.clock = clock
  }

  /// Those that answered in time.
  func describe() async -> [WorkerRecord] {
    let round = round.withLock { round in
      round += 1
      return round
    }
    return await withTaskGroup(of: WorkerRecord?.self) { group in
      for address in addresses { group.addTask { try? await self.describe(address, round: round) } }
      var records: [WorkerRecord] = []
      for await record in group {
        if let record { records.append(record) }
      }
      return records
    }
  }

  private func describe(_ address: ServerAddress, round: Int) async throws -> WorkerRecord {
    let deadline = clock.now + timeout
    return try await channels.withClient(of: address, for: .tokens) { client in
      try await withCallDeadline(deadline) {
        let worker = Baton_V1_Worker.Client(wrapping: client)
        let description = try await worker.describe(Baton_V1_DescribeRequest())
        let statistics = try await worker.statistics(Baton_V1_StatisticsRequest())
        return try WorkerRecord(description, statistics, address: address, sequence: round)
      }
    }
  }
}

extension WorkerRecord {
  /// - Parameter address: where the worker was reached, which may differ from what it says.
  init(
    _ description: Baton_V1_WorkerDescription, _ statistics: Baton_V1_WorkerStatistics, address: ServerAddress,
    sequence: Int
  ) throws(ServingError) {
    guard description.blockSize > 0 else {
      throw ServingError(.dataLoss, "the worker at \(address) describes itself with block_size 0")
    }
    self.init(
      reference: WorkerReference(
        id: WorkerID(description.reference.id), address: address.description,
        incarnation: Incarnation(description.reference.incarnation)),
      role: try WorkerRole(wire: description.role), model: description.model,
      layoutDigest: description.layoutDigest, blockSize: Int(description.blockSize),
      blockCount: Int(description.numBlocks), maximumModelLength: Int(description.maxModelLen),
      load: WorkerLoad(
        pendingPrefillTokens: Int(clamping: statistics.pendingPrefillTokens),
        runningSequences: Int(statistics.runningSequences), waitingSequences: Int(statistics.waitingSequences),
        activeBlocks: Int(statistics.activeBlocks)),
      isDraining: description.draining, sequence: sequence)
  }
}
