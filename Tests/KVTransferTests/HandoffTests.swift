import Engine
import KVTransfer
import ServingTestKit
import ServingTypes
import Testing

/// Both halves of the hand-off without any I/O: what is right completes, whatever the order of events, and each breach of the
/// protocol is refused.
@Suite struct HandoffTests {
  static let blockBytes = 32
  static let end = PrefillEnd(firstTokens: [FirstToken(sample: 0, token: GeneratedToken(id: 5))])

  /// `count` blocks from index `first` on, the last one a tail.
  static func expected(_ count: Int, first: Int = 0) -> [ExpectedBlock] {
    (first..<first + count).map { index in
      let isTail = index == first + count - 1
      return ExpectedBlock(
        index: index, hash: isTail ? nil : BlockHash(high: 1, low: UInt64(index)),
        parentHash: BlockHash(high: 1, low: UInt64(bitPattern: Int64(index - 1))), tokenCount: isTail ? 2 : 16,
        tokens: isTail ? [1, 2] : [])
    }
  }

  static func frame(_ block: ExpectedBlock, checksum: UInt32 = 7) -> BlockFrame {
    BlockFrame(
      index: block.index, hash: block.hash, parentHash: block.parentHash, tokenCount: block.tokenCount,
      checksum: checksum, tokens: block.tokens)
  }

  static func receiver(window: Int = 4, samples: [Int] = [0]) -> HandoffReceiver {
    HandoffReceiver(
      configuration: .init(
        creditWindow: window, blockBytes: blockBytes, layerCount: 2, vocabularySize: 100, samples: samples))
  }

  /// A receiver that was given credit for blocks of `expected`.
  static func receiving(_ expected: [ExpectedBlock], window: Int = 4) throws -> HandoffReceiver {
    var receiver = receiver(window: window)
    _ = try receiver.message(.queued(ahead: 3))
    _ = try receiver.message(.start(blocks: expected.count, cachedTokens: 0))
    _ = try receiver.bound(expected)
    return receiver
  }

  // MARK: The two together

  /// A seeded network that delays each direction on its own, and an engine that finishes blocks at random moments.
  @Test(arguments: 0..<200)
  func everyInterleavingDelivers(seed: Int) throws {
    var random = SplitMix64(seed: UInt64(seed))
    let first = Int(random.next() % 5)
    let blocks = Self.expected(Int(random.next() % 40) + 1, first: first)
    let window = Int(random.next() % 9) + 1
    var sender = HandoffSender<BlockFrame>(firstIndex: first)
    var receiver = Self.receiver(window: window)
    var toReceiver: [HandoffMessage<BlockFrame>] = try sender.queued(ahead: 1)
    toReceiver += try sender.started(blocks: blocks.count, cachedTokens: 16)
    var toSender: [HandoffReceiver.Action] = []
    var produced = 0
    var ended = false
    var committed: [Int] = []
    var steps = 0
    while !receiver.isFinished {
      steps += 1
      try #require(steps < 10_000, "the hand-off stands still; seed \(seed)")
      switch random.next() % 3 {
      case 0 where produced < blocks.count:
        toReceiver += try sender.block(Self.frame(blocks[produced]), index: blocks[produced].index)
        produced += 1
      case 0 where !ended:
        toReceiver += try sender.ended(Self.end)
        ended = true
      case 1 where !toReceiver.isEmpty:
        var actions = try receiver.message(toReceiver.removeFirst(), payloadCount: Self.blockBytes)
        while !actions.isEmpty {
          switch actions.removeFirst() {
          case .bind: actions += try receiver.bound(blocks)
          case .write: actions += try receiver.wrote(checksum: 7)
          case .commit(let position, _): committed.append(position)
          case .complete(let end): #expect(end == Self.end)
          case let other: toSender.append(other)
          }
        }
      case 2 where !toSender.isEmpty:
        switch toSender.removeFirst() {
        case .sendCredit(let count): toReceiver += try sender.credit(count)
        case .sendAck(let index): try sender.acknowledge(below: index)
        default: break
        }
      default: break
      }
      let underWay = toReceiver.reduce(0) { if case .block = $1 { $0 + 1 } else { $0 } }
      #expect(underWay <= window)
    }
    #expect(committed == Array(blocks.indices))
    #expect(sender.isFinished)
    for case .sendAck(let index) in toSender { try sender.acknowledge(below: index) }
    #expect(sender.acknowledgedBlocks == blocks.count)
    #expect(sender.abandon().isEmpty)
  }

  @Test func nothingToSendEndsAtOnce() throws {
    var sender = HandoffSender<Int>(firstIndex: 4)
    _ = try sender.started(blocks: 0, cachedTokens: 64)
    #expect(try sender.ended(Self.end).count == 1)
    #expect(sender.isFinished)
    var receiver = Self.receiver()
    _ = try receiver.message(.start(blocks: 0, cachedTokens: 64))
    #expect(try receiver.bound([]).isEmpty)
    _ = try receiver.message(.end(Self.end))
    #expect(receiver.isFinished)
  }

  // MARK: The sender

  @Test func blocksWaitForCreditAndAreGivenBack() throws {
    var sender = HandoffSender<Int>(firstIndex: 0)
    _ = try sender.started(blocks: 5, cachedTokens: 0)
    for index in 0..<5 { #expect(try sender.block(index, index: index).isEmpty) }
    #expect(try sender.ended(Self.end).isEmpty)
    #expect(try sender.credit(2).count == 2)
    #expect(sender.waitingBlocks == 3)
    #expect(sender.abandon() == [2, 3, 4])
    #expect(try sender.credit(1).isEmpty, "credit under way when the stream ends is no error")
    #expect(!sender.isFinished)
  }

  @Test func theSenderRefusesWhatTheReceiverMayNotSay() throws {
    func refuses(_ body: (inout HandoffSender<Int>) throws -> Void) throws {
      var sender = HandoffSender<Int>(firstIndex: 2)
      _ = try sender.started(blocks: 4, cachedTokens: 0)
      _ = try sender.block(2, index: 2)
      _ = try sender.credit(1)
      #expect { try body(&sender) } throws: { ($0 as? ServingError)?.code == .invalidArgument }
    }
    try refuses { _ = try $0.credit(0) }
    try refuses { _ = try $0.credit(-1) }
    try refuses { _ = try $0.credit(4) }
    try refuses { _ = try $0.credit(.max) }
    try refuses { try $0.acknowledge(below: 4) }
    try refuses { try $0.acknowledge(below: 1) }
    try refuses {
      try $0.acknowledge(below: 3)
      try $0.acknowledge(below: 2)
    }
    var early = HandoffSender<Int>(firstIndex: 0)
    #expect(throws: ServingError.self) { try early.credit(1) }
    #expect(throws: ServingError.self) { try early.acknowledge(below: 0) }
  }

  @Test func theSenderRefusesAnEngineOutOfOrder() throws {
    func refuses(_ body: (inout HandoffSender<Int>) throws -> Void) throws {
      var sender = HandoffSender<Int>(firstIndex: 0)
      _ = try sender.started(blocks: 2, cachedTokens: 0)
      #expect { try body(&sender) } throws: { ($0 as? ServingError)?.code == .internalError }
    }
    try refuses { _ = try $0.started(blocks: 2, cachedTokens: 0) }
    try refuses { _ = try $0.queued(ahead: 0) }
    try refuses { _ = try $0.block(1, index: 1) }
    try refuses { _ = try $0.ended(Self.end) }
    try refuses {
      for index in 0..<3 { _ = try $0.block(index, index: index) }
    }
    var early = HandoffSender<Int>(firstIndex: 0)
    #expect(throws: ServingError.self) { try early.block(0, index: 0) }
    #expect(throws: ServingError.self) { try early.ended(Self.end) }
  }

  // MARK: The receiver

  static let wrongFrames: [(change: @Sendable (inout BlockFrame) -> Void, names: String)] = [
    ({ $0.index = 1 }, "block 1 where 0"),
    ({ $0.hash = BlockHash(high: 1, low: 9) }, "hash"),
    ({ $0.hash = nil }, "hash none"),
    ({ $0.parentHash = BlockHash(high: 8, low: 8) }, "parent"),
    ({ $0.tokenCount = 15 }, "15 tokens"),
    ({ $0.tokens = [1] }, "other tokens"),
    ({ $0.group = 1 }, "group 1"),
    ({ $0.firstLayer = 1 }, "layers"),
    ({ $0.layerCount = 1 }, "layers"),
  ]

  @Test(arguments: wrongFrames.indices)
  func aWrongFrameIsRefusedAndNothingAfterIt(index: Int) throws {
    let blocks = Self.expected(3)
    var receiver = try Self.receiving(blocks)
    var frame = Self.frame(blocks[0])
    Self.wrongFrames[index].change(&frame)
    do {
      _ = try receiver.message(.block(frame), payloadCount: Self.blockBytes)
      Issue.record("taken: \(frame)")
    } catch {
      #expect(error.code == .dataLoss)
      #expect(error.message.contains(Self.wrongFrames[index].names), "\(error.message)")
    }
    #expect(throws: ServingError.self) {
      try receiver.message(.block(Self.frame(blocks[0])), payloadCount: Self.blockBytes)
    }
  }

  @Test func theTailIsCheckedByItsTokens() throws {
    let blocks = Self.expected(1)
    var receiver = try Self.receiving(blocks)
    var frame = Self.frame(blocks[0])
    frame.tokens = [1, 3]
    #expect(throws: ServingError.self) { try receiver.message(.block(frame), payloadCount: Self.blockBytes) }
  }

  @Test func aWrongChecksumIsNeverCommitted() throws {
    let blocks = Self.expected(2)
    var receiver = try Self.receiving(blocks)
    let actions = try receiver.message(.block(Self.frame(blocks[0])), payloadCount: Self.blockBytes)
    guard case .write(0) = actions.first, actions.count == 1 else {
      Issue.record("\(actions)")
      return
    }
    #expect { try receiver.wrote(checksum: 8) } throws: { ($0 as? ServingError)?.code == .dataLoss }
    #expect(throws: ServingError.self) { try receiver.message(.end(Self.end)) }
    #expect(receiver.receivedBlocks == 0)
  }

  @Test func duplicatesAndFramesWithoutCreditAreRefused() throws {
    let blocks = Self.expected(5)
    var receiver = try Self.receiving(blocks, window: 1)
    _ = try receiver.message(.block(Self.frame(blocks[0])), payloadCount: Self.blockBytes)
    #expect(throws: ServingError.self, "before the first is written") {
      var copy = receiver
      _ = try copy.message(.block(Self.frame(blocks[1])), payloadCount: Self.blockBytes)
    }
    _ = try receiver.wrote(checksum: 7)
    #expect(throws: ServingError.self, "a duplicate") {
      var copy = receiver
      _ = try copy.message(.block(Self.frame(blocks[0])), payloadCount: Self.blockBytes)
    }
    var unbound = Self.receiver()
    _ = try unbound.message(.start(blocks: 5, cachedTokens: 0))
    #expect(throws: ServingError.self, "before any credit") {
      try unbound.message(.block(Self.frame(blocks[0])), payloadCount: Self.blockBytes)
    }
  }

  @Test func aPayloadOfTheWrongSizeIsRefused() throws {
    let blocks = Self.expected(2)
    for count in [0, Self.blockBytes - 1, Self.blockBytes + 1] {
      var receiver = try Self.receiving(blocks)
      #expect(throws: ServingError.self) { try receiver.message(.block(Self.frame(blocks[0])), payloadCount: count) }
    }
  }

  @Test func anEarlyOrDoubtfulEndIsRefused() throws {
    var receiver = try Self.receiving(Self.expected(2))
    #expect(throws: ServingError.self) { try receiver.message(.end(Self.end)) }
    func ended(_ firstTokens: [FirstToken], samples: [Int] = [0]) throws {
      var receiver = Self.receiver(samples: samples)
      _ = try receiver.message(.start(blocks: 0, cachedTokens: 0))
      _ = try receiver.bound([])
      _ = try receiver.message(.end(PrefillEnd(firstTokens: firstTokens)))
    }
    #expect(throws: ServingError.self) { try ended([]) }
    #expect(throws: ServingError.self) { try ended([FirstToken(sample: 1, token: GeneratedToken(id: 1))]) }
    #expect(throws: ServingError.self) { try ended([FirstToken(sample: 0, token: GeneratedToken(id: 100))]) }
    #expect(throws: ServingError.self) { try ended([FirstToken(sample: 0, token: GeneratedToken(id: -1))]) }
    try ended(
      [1, 0].map { FirstToken(sample: $0, token: GeneratedToken(id: 1)) }, samples: [0, 1])
  }

  @Test func aStartWithAnotherNumberOfBlocksIsRefused() throws {
    var receiver = Self.receiver()
    _ = try receiver.message(.start(blocks: 3, cachedTokens: 0))
    #expect(throws: ServingError.self) { try receiver.bound(Self.expected(2)) }
  }

  @Test func aStreamThatEndsEarlyIsAnError() throws {
    var receiver = try Self.receiving(Self.expected(2))
    #expect { try receiver.closed() } throws: { ($0 as? ServingError)?.code == .unavailable }
    var finished = Self.receiver()
    _ = try finished.message(.start(blocks: 0, cachedTokens: 0))
    _ = try finished.bound([])
    _ = try finished.message(.end(Self.end))
    try finished.closed()
    #expect(throws: ServingError.self) { try finished.message(.end(Self.end)) }
  }
}
