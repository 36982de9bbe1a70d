import Engine
import KVTransfer
import RPC
import ServingProtos
import ServingTypes

/// One holder being asked for blocks, from `open` to `end`. It gives those that it has, up to the first that it lacks.
struct FetchAttempt: Sendable {
  /// What came, also when the attempt failed in the end.
  struct Progress: Sendable {
    var blocks = 0
    var answeredAt: ContinuousClock.Instant?
  }

  let fetch: BlockFetch
  let holder: WorkerReference
  /// Leading blocks of the fetch that came from others.
  let skipped: Int
  let layout: KVLayout
  private let clock: ServingClock
  private let receiver: HandoffReceiver.Configuration
  private let state = Lock(Progress())

  init(
    fetch: BlockFetch, holder: WorkerReference, skipped: Int, layout: KVLayout, vocabularySize: Int, creditWindow: Int,
    clock: ServingClock
  ) {
    self.fetch = fetch
    self.holder = holder
    self.skipped = skipped
    self.layout = layout
    self.clock = clock
    receiver = HandoffReceiver.Configuration(
      creditWindow: creditWindow, blockBytes: layout.blockBytes(), layerCount: layout.groups[0].layers.count,
      vocabularySize: vocabularySize, samples: [])
  }

  var progress: Progress { state.withLock { $0 } }

  /// - Throws: what the holder answered, `dataLoss` when it broke the protocol, `CancellationError` when it was called off.
  func run(on client: ChannelPool.Client) async throws {
    try await HandoffCall(open: Baton_V1_FetchRequest.with { $0.open = open }, receiver: receiver)
      .run(on: client, until: fetch.deadline, into: self)
  }

  private var open: Baton_V1_FetchOpen {
    var open = Baton_V1_FetchOpen()
    open.requestID = fetch.requestID.value
    open.layoutDigest = layout.digest
    open.layout = layout.description
    open.expectedIncarnation = holder.incarnation.value
    open.hashes = fetch.hashes[skipped...].map { .init($0.bytes) }
    open.firstIndex = UInt32(clamping: fetch.firstIndex + skipped)
    open.parentHash = .init((skipped == 0 ? fetch.parentHash : fetch.hashes[skipped - 1]).bytes)
    return open
  }
}

extension FetchAttempt: HandoffDestination {
  func bind(_ count: Int) throws(ServingError) -> [ExpectedBlock] {
    state.withLock { $0.answeredAt = clock.now }
    let hashes = fetch.hashes[skipped...]
    guard count <= hashes.count else {
      throw ServingError(.dataLoss, "the holder announced \(count) blocks; it was asked for \(hashes.count)")
    }
    return hashes.prefix(count).enumerated().map { offset, hash in
      let position = skipped + offset
      return ExpectedBlock(
        index: fetch.firstIndex + position, hash: hash,
        parentHash: position == 0 ? fetch.parentHash : fetch.hashes[position - 1], tokenCount: layout.blockSize,
        tokens: [])
    }
  }

  func write(_ block: ReceivedBlock, at position: Int) throws -> UInt32 {
    guard let checksum = fetch.fill(skipped + position, { block.write(to: $0) }) else { throw CancellationError() }
    return checksum
  }

  func commit(at position: Int, checksum: UInt32) {
    fetch.commit(checksum: checksum)
    state.withLock { $0.blocks += 1 }
  }
}
