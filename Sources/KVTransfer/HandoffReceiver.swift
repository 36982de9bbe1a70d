import Engine
import ServingTypes

/// The receiving half of one hand-off: checks every message against what the receiver computed itself, and gives credit.
///
/// Pure: each transition returns the actions to perform, in order. Any error is final; blocks committed before it stay
/// valid. A new hand-off, with another worker, begins with a new receiver.
public struct HandoffReceiver: Sendable {
  public struct Configuration: Sendable {
    /// Blocks that may be under way at once.
    public var creditWindow: Int
    /// Bytes of a block's payload.
    public var blockBytes: Int
    /// Layers of the block's group.
    public var layerCount: Int
    public var vocabularySize: Int
    /// First tokens to come: one for each of these sample indices.
    public var samples: [Int]
    /// Empty but in tests.
    package var mutants: Mutants = []

    public init(creditWindow: Int = 16, blockBytes: Int, layerCount: Int, vocabularySize: Int, samples: [Int]) {
      self.creditWindow = max(1, creditWindow)
      self.blockBytes = blockBytes
      self.layerCount = layerCount
      self.vocabularySize = vocabularySize
      self.samples = samples
    }
  }

  public enum Action: Sendable {
    /// Bind memory for this many blocks, then call `bound`.
    case bind(blocks: Int)
    case sendCredit(Int)
    case sendAck(below: Int)
    /// Write the payload to the expected block at this position, then call `wrote` with its checksum.
    case write(position: Int)
    /// The block at this position was verified.
    case commit(position: Int, checksum: UInt32)
    case complete(PrefillEnd)
  }

  private enum Phase: Hashable {
    case opened
    case binding
    case receiving
    case writing
    case ended
    case failed
  }

  private let configuration: Configuration
  private var phase = Phase.opened
  private var announced = 0
  private var expected: [ExpectedBlock] = []
  private var received = 0
  private var credited = 0
  private var checksum: UInt32 = 0

  public init(configuration: Configuration) { self.configuration = configuration }

  /// Blocks verified so far.
  public var receivedBlocks: Int { received }
  /// Whether the sender said that it began.
  public var hasStarted: Bool { phase != .opened }
  /// Whether `end` came and was right.
  public var isFinished: Bool { phase == .ended }

  /// The sender's next message, a block without its payload.
  public mutating func message(
    _ message: HandoffMessage<BlockFrame>, payloadCount: Int = 0
  ) throws(ServingError) -> [Action] {
    do {
      return try take(message, payloadCount: payloadCount)
    } catch {
      phase = .failed
      throw error
    }
  }

  private mutating func take(
    _ message: HandoffMessage<BlockFrame>, payloadCount: Int
  ) throws(ServingError) -> [Action] {
    switch message {
    case .queued:
      try require(phase == .opened, "queued after start")
      return []
    case .start(let blocks, _):
      try require(phase == .opened, "a second start")
      try require(blocks >= 0, "a start with \(blocks) blocks")
      phase = .binding
      announced = blocks
      return [.bind(blocks: blocks)]
    case .block(let frame):
      try require(phase == .receiving, "a block outside of start and end")
      try verify(frame, payloadCount: payloadCount)
      checksum = frame.checksum
      phase = .writing
      if configuration.mutants.contains(.publishUnverified) {
        return [.commit(position: received, checksum: checksum), .write(position: received)]
      }
      return [.write(position: received)]
    case .end(let end):
      try require(phase == .receiving, "an end without a start")
      try require(
        received == expected.count || configuration.mutants.contains(.acceptHole),
        "an end after \(received) of \(expected.count) blocks")
      try verify(end)
      phase = .ended
      return [.complete(end)]
    }
  }

  /// Memory is bound for `blocks`, which are all that the sequence lacks, in order.
  public mutating func bound(_ blocks: [ExpectedBlock]) throws(ServingError) -> [Action] {
    precondition(phase == .binding, "bound answers the action bind, once")
    guard blocks.count == announced else {
      phase = .failed
      throw ServingError(
        .dataLoss, "the sender announced \(announced) blocks; \(blocks.count) are missing here")
    }
    expected = blocks
    phase = .receiving
    return grant()
  }

  /// The block's payload was written; `checksum` was taken of what was written.
  public mutating func wrote(checksum: UInt32) throws(ServingError) -> [Action] {
    precondition(phase == .writing, "wrote answers the action write, once")
    guard checksum == self.checksum || configuration.mutants.contains(.skipChecksum) else {
      let index = expected[received].index
      phase = .failed
      throw ServingError(
        .dataLoss, "block \(index) has the checksum \(checksum); its frame says \(self.checksum)")
    }
    let position = received
    received += 1
    phase = .receiving
    var actions: [Action] = [.commit(position: position, checksum: checksum)]
    let grants = grant()
    if !grants.isEmpty || received == expected.count {
      actions.append(.sendAck(below: expected[position].index + 1))
    }
    return actions + grants
  }

  /// The stream ended.
  public mutating func closed() throws(ServingError) {
    if phase == .ended { return }
    phase = .failed
    throw ServingError(
      .unavailable, "the hand-off's stream ended after \(received) of \(expected.count) blocks, before its end")
  }

  /// Fills the window again once half of it is used, so that credits are few and the sender seldom waits.
  private mutating func grant() -> [Action] {
    let window = min(configuration.creditWindow, expected.count - received)
    let underWay = credited - received
    guard underWay < window, underWay <= configuration.creditWindow / 2 else { return [] }
    credited += window - underWay
    return [.sendCredit(window - underWay)]
  }

  private func verify(_ frame: BlockFrame, payloadCount: Int) throws(ServingError) {
    try require(received < expected.count, "more than the \(expected.count) blocks announced")
    let block = expected[received]
    try require(received < credited, "block \(frame.index) came without credit")
    try require(frame.group == 0, "block \(frame.index) is of group \(frame.group); this layout has group 0 alone")
    try require(
      frame.firstLayer == 0 && (frame.layerCount == 0 || frame.layerCount == configuration.layerCount),
      "block \(frame.index) holds \(frame.layerCount) layers from \(frame.firstLayer) on; all of them are needed")
    if !configuration.mutants.contains(.acceptLateFrame) { try verify(frame, is: block) }
    try require(
      payloadCount == configuration.blockBytes,
      "block \(frame.index) has a payload of \(payloadCount) bytes where \(configuration.blockBytes) belong")
  }

  private func verify(_ frame: BlockFrame, is block: ExpectedBlock) throws(ServingError) {
    try require(frame.index == block.index, "block \(frame.index) where \(block.index) was due")
    try require(
      frame.tokenCount == block.tokenCount,
      "block \(frame.index) has \(frame.tokenCount) tokens where \(block.tokenCount) belong")
    try require(
      frame.parentHash == block.parentHash,
      "block \(frame.index) has the parent \(frame.parentHash) where \(block.parentHash) belongs")
    try require(
      frame.hash == block.hash,
      "block \(frame.index) has the hash \(frame.hash?.description ?? "none")"
        + " where \(block.hash?.description ?? "none") belongs")
    try require(frame.tokens == block.tokens, "block \(frame.index), the tail, holds other tokens")
  }

  private func verify(_ end: PrefillEnd) throws(ServingError) {
    let samples = end.firstTokens.map(\.sample).sorted()
    try require(samples == configuration.samples.sorted(), "an end with first tokens of the samples \(samples)")
    for first in end.firstTokens {
      try require(
        first.token.id >= 0 && Int(first.token.id) < configuration.vocabularySize,
        "an end with the first token \(first.token.id)")
    }
  }

  private func require(_ holds: Bool, _ what: @autoclosure () -> String) throws(ServingError) {
    if !holds { throw ServingError(.dataLoss, "the sender broke the hand-off's protocol: \(what())") }
  }
}
