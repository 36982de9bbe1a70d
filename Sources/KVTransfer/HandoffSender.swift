import Engine
import ServingTypes

/// The sending half of one hand-off: orders the engine's events, and holds blocks back until the receiver has room.
///
/// Pure: each transition returns the messages to send, in order. Blocks that wait for credit are pinned in the sender's
/// pool; there are never more of them than the prompt has blocks.
public struct HandoffSender<Block: Sendable>: Sendable {
  private enum Phase: Hashable {
    case opened
    case started
    /// The engine is done; `end` goes out once all blocks did.
    case draining
    case ended
    case abandoned
  }

  private var phase = Phase.opened
  private let firstIndex: Int
  private let mutants: Mutants
  private var blocks = 0
  private var taken = 0
  private var sent = 0
  private var credit = 0
  private var acknowledged = 0
  private var waiting: [Block] = []
  /// Where in `waiting` the next block lies.
  private var nextWaiting = 0
  private var end: PrefillEnd?
  private var isReceiverClosed = false

  /// - Parameter firstIndex: the index in the sequence of the first block to send: as many as the receiver holds.
  public init(firstIndex: Int) { self.init(firstIndex: firstIndex, mutants: []) }

  package init(firstIndex: Int, mutants: Mutants) {
    self.firstIndex = firstIndex
    self.mutants = mutants
  }

  /// Whether everything was sent, `end` included.
  public var isFinished: Bool { phase == .ended }
  /// Blocks that were sent.
  public var sentBlocks: Int { sent }
  /// Blocks that wait for credit.
  public var waitingBlocks: Int { waiting.count - nextWaiting }
  /// Blocks that the receiver said it had verified and taken.
  public var acknowledgedBlocks: Int { acknowledged }

  // MARK: What the engine says

  public mutating func queued(ahead: Int) throws(ServingError) -> [HandoffMessage<Block>] {
    try require(phase == .opened, "queued after start")
    return [.queued(ahead: ahead)]
  }

  public mutating func started(blocks: Int, cachedTokens: Int) throws(ServingError) -> [HandoffMessage<Block>] {
    try require(phase == .opened, "a second start")
    try require(blocks >= 0, "a start with \(blocks) blocks")
    phase = .started
    self.blocks = blocks
    if isReceiverClosed { try requireCredit() }
    return [.start(blocks: blocks, cachedTokens: cachedTokens)]
  }

  /// The engine finished a block; it goes out at once when there is credit.
  public mutating func block(_ block: Block, index: Int) throws(ServingError) -> [HandoffMessage<Block>] {
    try require(phase == .started, "a block outside of start and end")
    try require(taken < blocks, "more than the \(blocks) blocks announced")
    try require(index == firstIndex + taken, "block \(index) where \(firstIndex + taken) was due")
    taken += 1
    waiting.append(block)
    return flush()
  }

  public mutating func ended(_ end: PrefillEnd) throws(ServingError) -> [HandoffMessage<Block>] {
    try require(phase == .started, "an end without a start")
    try require(taken == blocks, "an end after \(taken) of \(blocks) blocks")
    phase = .draining
    self.end = end
    return flush()
  }

  // MARK: What the receiver says

  /// Room for more blocks at the receiver.
  public mutating func credit(_ count: Int) throws(ServingError) -> [HandoffMessage<Block>] {
    if phase == .abandoned { return [] }
    try require(peer: phase != .opened, "credit before start")
    try require(peer: count > 0, "a credit of \(count) blocks")
    try require(
      peer: count <= blocks - sent - credit, "credit for \(count) blocks more where \(blocks - sent - credit) are left")
    credit += count
    return flush()
  }

  /// Every block below `index` was verified and taken.
  public mutating func acknowledge(below index: Int) throws(ServingError) {
    if phase == .abandoned { return }
    let count = index - firstIndex
    try require(peer: phase != .opened, "an acknowledgement before start")
    try require(
      peer: count >= acknowledged,
      "an acknowledgement of \(index) blocks after one of \(firstIndex + acknowledged)")
    try require(
      peer: count <= sent, "an acknowledgement of \(index) blocks where \(firstIndex + sent) were sent")
    acknowledged = count
  }

  /// The receiver half-closed: it gives no more credit, so what it gave must cover every block.
  public mutating func receiverClosed() throws(ServingError) {
    isReceiverClosed = true
    if phase != .opened { try requireCredit() }
  }

  /// The stream is over, however it ended. Returns the blocks that were not sent, whose pins must go back.
  public mutating func abandon() -> [Block] {
    defer { waiting = [] }
    let unsent = Array(waiting[nextWaiting...])
    nextWaiting = 0
    if phase != .ended { phase = .abandoned }
    return unsent
  }

  private mutating func flush() -> [HandoffMessage<Block>] {
    var messages: [HandoffMessage<Block>] = []
    while credit > 0 || mutants.contains(.ignoreCredit), nextWaiting < waiting.count {
      messages.append(.block(waiting[nextWaiting]))
      nextWaiting += 1
      credit -= 1
      sent += 1
    }
    // Sent blocks must not stay pinned by this array; moving the rest each time would be quadratic.
    if nextWaiting > waiting.count / 2 {
      waiting.removeFirst(nextWaiting)
      nextWaiting = 0
    }
    if phase == .draining, waitingBlocks == 0, let end {
      phase = .ended
      messages.append(.end(end))
    }
    return messages
  }

  private func requireCredit() throws(ServingError) {
    if phase == .abandoned || phase == .ended || sent + credit == blocks { return }
    throw ServingError(
      .cancelled, "the receiver closed the hand-off with credit for \(sent + credit) of \(blocks) blocks")
  }

  private func require(_ holds: Bool, _ what: @autoclosure () -> String) throws(ServingError) {
    if !holds { throw ServingError(.internalError, "the engine's hand-off is out of order: \(what())") }
  }

  private func require(peer holds: Bool, _ what: @autoclosure () -> String) throws(ServingError) {
    if !holds { throw ServingError(.invalidArgument, "the receiver broke the hand-off's protocol: \(what())") }
  }
}
