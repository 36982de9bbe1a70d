import Glibc
import ModelRuntime
import ServingTypes

/// A model that computes digests instead of attention, and so finds every fault in the books.
///
/// For each token it writes a record to the token's block: a digest chained with the record before it, which it reads
/// through the block table, the token and the position. Its logits are a function of all the records that the table
/// leads to. A block that is wrong, stale, missing or misplaced therefore changes the output. Deterministic: the same
/// tokens give the same logits, in whatever batches and chunks they come.
public final class SimulatedExecutor: ModelExecutor {
  /// What the next token looks like.
  public enum Text: Hashable, Sendable {
    /// Anything.
    case random
    /// Mostly the token `period` positions before, so that prompt lookup finds drafts; now and then anything.
    case repeating(period: Int)
  }

  /// What the executor was asked to compute; any thread may read it.
  public final class Record: Sendable {
    public struct Counts: Hashable, Sendable {
      public var steps = 0
      public var tokens = 0
      public var copies = 0
      /// Pieces of passes, and the passes that came to their end.
      public var pieces = 0
      public var piecewisePasses = 0
      /// The most tokens in one step, and in one sequence's part of it.
      public var largestStep = 0
      public var largestSegment = 0
    }

    private let state = Lock(Counts())
    private let failing = Lock<ServingError?>(nil)

    public init() {}

    /// While it is set, every step fails with it.
    public var failure: ServingError? {
      get { failing.withLock { $0 } }
      set { failing.withLock { $0 = newValue } }
    }

    public var counts: Counts { state.withLock { $0 } }

    func update(_ body: (inout Counts) -> Void) { state.withLock { body(&$0) } }
  }

  private struct Digest {
    var value: UInt64
    var token: TokenID
    var position: UInt32
  }

  public let layout: KVLayout
  public let vocabularySize: Int
  public let maximumContextLength: Int
  public let endOfGenerationTokens: [TokenID]
  public let memory: BlockMemory
  private let text: Text
  /// What the first token's digest is chained with.
  private let root: UInt64
  private let cost: Cost
  /// What the next token is, unless it repeats an earlier one.
  private let spoken: Range<TokenID>
  private let failingStep: Int?
  private let failingPiece: Int?
  private let piecesPerPass: Int
  private let record: Record
  private var logits = LogitRows()
  private var piecewiseLogits = LogitRows()
  private var steps = 0
  private var pieces = 0
  /// The pass in pieces that is under way, and how many of them are done.
  private var pass: (batch: ForwardBatch, done: Int)?

  /// - Parameters:
  ///   - spoken: the tokens that the model says of its own accord; nil is the whole vocabulary.
  ///   - failingStep: the step, from 0, in which `forward` throws.
  ///   - piecesPerPass: a pass comes in so many, two or more.
  ///   - failingPiece: the piece of all, from 0, in which `advance` throws.
  ///   - weights: other weights lead to other tokens.
  public init(
    blockCount: Int, blockSize: Int = 16, vocabularySize: Int = 512, maximumContextLength: Int = 4096,
    endOfGenerationTokens: [TokenID] = [], spoken: Range<TokenID>? = nil, text: Text = .random, cost: Cost = Cost(),
    failingStep: Int? = nil, piecesPerPass: Int = 16, failingPiece: Int? = nil, model: String = "simulated",
    weights: UInt64 = 0, record: Record = Record()
  ) throws(ServingError) {
    // 16 bytes a token.
    layout = KVLayout(
      modelFingerprint: model, blockSize: blockSize, numerics: "simulated",
      groups: [KVGroup(layers: 0..<1, kvHeads: 1, headSize: 4)])
    self.vocabularySize = vocabularySize
    self.maximumContextLength = maximumContextLength
    self.endOfGenerationTokens = endOfGenerationTokens
    self.spoken = spoken ?? 0..<TokenID(vocabularySize)
    self.text = text
    root = 0x5EED ^ weights
    self.cost = cost
    self.failingStep = failingStep
    self.piecesPerPass = piecesPerPass
    self.failingPiece = failingPiece
    self.record = record
    memory = try BlockMemory(blockBytes: layout.blockBytes(), blockCount: blockCount)
  }

  public func forward(_ batch: ForwardBatch) throws(ServingError) -> UnsafeBufferPointer<Float> {
    defer { steps += 1 }
    record.update { counts in
      counts.steps += 1
      counts.tokens += batch.tokens.count
      counts.largestStep = max(counts.largestStep, batch.tokens.count)
      counts.largestSegment = max(counts.largestSegment, batch.segments.map(\.tokenCount).max() ?? 0)
    }
    let start = ContinuousClock.now
    if let failure = record.failure { throw failure }
    if steps == failingStep { throw ServingError(.internalError, "step \(steps) was made to fail") }
    // All writes come before all reads of whole contexts, as in a real model's layer.
    for segment in batch.segments { write(segment, of: batch, segment.tokenRange) }
    readAll(batch, into: &logits)
    // The digests take time themselves, which is a part of it.
    wait(cost.duration(of: batch) - start.duration(to: .now))
    return logits.values
  }

  public let runsPieces = true

  public func begin(_ batch: ForwardBatch) { pass = (batch, 0) }

  /// What stands in the blocks is wrong until the last piece: the first one scrawls over all of it.
  public func advance() throws(ServingError) -> UnsafeBufferPointer<Float>? {
    guard let (batch, done) = pass else { return nil }
    defer { pieces += 1 }
    record.update { $0.pieces += 1 }
    wait(cost.duration(of: batch) / piecesPerPass)
    if pieces == failingPiece { throw ServingError(.internalError, "piece \(pieces) was made to fail") }
    pass?.done += 1
    for segment in batch.segments {
      if done == 0 {
        scrawl(segment, of: batch)
      } else {
        let (first, count, parts) = (segment.tokenOffset, segment.tokenCount, piecesPerPass - 1)
        write(segment, of: batch, first + count * (done - 1) / parts..<first + count * done / parts)
      }
    }
    guard done + 1 == piecesPerPass else { return nil }
    pass = nil
    record.update { counts in
      counts.piecewisePasses += 1
      counts.tokens += batch.tokens.count
    }
    readAll(batch, into: &piecewiseLogits)
    return piecewiseLogits.values
  }

  public func copyBlock(from source: BlockID, to destination: BlockID) {
    record.update { $0.copies += 1 }
    memory.bytes(of: destination).copyMemory(from: UnsafeRawBufferPointer(memory.bytes(of: source)))
  }

  // MARK: Records

  private func address(_ position: Int, _ segment: ForwardBatch.Segment, _ batch: ForwardBatch)
    -> UnsafeMutableRawPointer?
  {
    let index = position / layout.blockSize
    precondition(index < segment.blockCount, "position \(position) lies behind the block table")
    let block = memory.bytes(of: batch.blockTable[segment.blockOffset + index])
    return block.baseAddress.map { $0 + position % layout.blockSize * MemoryLayout<Digest>.stride }
  }

  private func write(_ segment: ForwardBatch.Segment, of batch: ForwardBatch, _ tokens: Range<Int>) {
    for index in tokens {
      let position = segment.startPosition + index - segment.tokenOffset
      let token = batch.tokens[index]
      var before = root
      if position > 0 {
        before = address(position - 1, segment, batch).map { $0.load(as: Digest.self).value } ?? 0
      }
      let digest = Digest(
        value: Self.chain(before, token, position), token: token, position: UInt32(truncatingIfNeeded: position))
      address(position, segment, batch)?.storeBytes(of: digest, as: Digest.self)
    }
  }

  private func scrawl(_ segment: ForwardBatch.Segment, of batch: ForwardBatch) {
    for offset in 0..<segment.tokenCount {
      let digest = Digest(value: 0xDEAD, token: -1, position: .max)
      address(segment.startPosition + offset, segment, batch)?.storeBytes(of: digest, as: Digest.self)
    }
  }

  private func readAll(_ batch: ForwardBatch, into logits: inout LogitRows) {
    logits.reserve(batch.logitRows.count, width: batch.vocabularyPrefix ?? vocabularySize)
    var row = 0
    for segment in batch.segments {
      var rows: [Int] = []
      while row < batch.logitRows.count, batch.logitRows[row] < segment.tokenRange.upperBound {
        rows.append(segment.startPosition + batch.logitRows[row] - segment.tokenOffset)
        row += 1
      }
      read(segment, of: batch, positions: rows, into: &logits)
    }
  }

  /// Appends the logits after each of the positions, which ascend.
  private func read(
    _ segment: ForwardBatch.Segment, of batch: ForwardBatch, positions: [Int], into logits: inout LogitRows
  ) {
    guard let last = positions.last else { return }
    var (seen, before) = (UInt64(0), root)
    var isSound = true
    var next = 0
    for position in 0...last {
      guard let digest = address(position, segment, batch)?.load(as: Digest.self) else { continue }
      // A record counts with what it says and with where it was found.
      seen = Self.mix(seen ^ digest.value &+ UInt64(position))
      isSound = isSound && digest.value == Self.chain(before, digest.token, position)
      before = digest.value
      if position == positions[next] {
        let favourite = favourite(seen, isSound, position, segment, batch)
        logits.append { Self.logit($0, seen: seen, favourite: favourite) }
        next += 1
      }
    }
  }

  private func favourite(
    _ seen: UInt64, _ isSound: Bool, _ position: Int, _ segment: ForwardBatch.Segment, _ batch: ForwardBatch
  ) -> Int {
    let anything = Int(spoken.lowerBound) + Int(seen % UInt64(spoken.count))
    guard case .repeating(let period) = text, isSound, position + 1 >= period, seen >> 32 & 15 != 0,
      let earlier = address(position + 1 - period, segment, batch)?.load(as: Digest.self)
    else { return anything }
    return Int(earlier.token)
  }

  /// One clear maximum; the others within a range that a temperature near 1 samples from.
  private static func logit(_ token: Int, seen: UInt64, favourite: Int) -> Float {
    token == favourite ? 6 : Float(mix(seen &+ UInt64(token)) >> 40) / Float(1 << 24) * 4
  }

  private static func chain(_ before: UInt64, _ token: TokenID, _ position: Int) -> UInt64 {
    mix(before ^ mix(UInt64(UInt32(bitPattern: token)) << 32 | UInt64(UInt32(truncatingIfNeeded: position))))
  }

  /// SplitMix64's finaliser (Steele, Lea and Flood, 2014).
  private static func mix(_ value: UInt64) -> UInt64 {
    var z = value &+ 0x9E37_79B9_7F4A_7C15
    z = (z ^ z >> 30) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ z >> 27) &* 0x94D0_49BB_1331_11EB
    return z ^ z >> 31
  }

  private func wait(_ duration: Duration) {
    guard duration > .zero else { return }
    let (seconds, attoseconds) = duration.components
    var time = timespec(tv_sec: Int(seconds), tv_nsec: Int(attoseconds / 1_000_000_000))
    var rest = timespec()
    while nanosleep(&time, &rest) == -1, errno == EINTR { time = rest }
  }
}
