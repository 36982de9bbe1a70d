import Engine
import ModelRuntime
import ServingTestKit
import ServingTypes

/// A simulated model that notes what each step computes, and takes its time on a clock that nothing else moves: what an engine
/// makes of it is the same on every machine.
final class NotingExecutor: ModelExecutor {
  /// A sequence's part of a step.
  struct Part: Hashable, Sendable {
    /// The first token's position.
    var start: Int
    var tokens: [TokenID]
  }

  /// What the executor was asked for, and the time it has taken; for any thread.
  final class Notes: Sendable {
    private let state = Lock((steps: [[Part]](), now: ContinuousClock.now))

    var steps: [[Part]] { state.withLock { $0.steps } }

    /// Tokens of each step.
    var stepTokens: [Int] { steps.map { $0.reduce(0) { $0 + $1.tokens.count } } }

    var clock: ServingClock {
      ServingClock(now: { self.state.withLock { $0.now } }, sleep: { _ in })
    }

    fileprivate func add(_ batch: ForwardBatch, taking time: Duration) {
      let parts = batch.segments.map { Part(start: $0.startPosition, tokens: Array(batch.tokens[$0.tokenRange])) }
      state.withLock {
        $0.steps.append(parts)
        $0.now += time
      }
    }
  }

  private let model: SimulatedExecutor
  private let notes: Notes
  private let cost: SimulatedExecutor.Cost
  /// The token at each position, whatever stands before it; nil leaves that to the model.
  private let script: (@Sendable (Int) -> TokenID)?
  private var scripted = UnsafeMutableBufferPointer<Float>.allocate(capacity: 0)

  init(_ setup: Setup, notes: Notes, script: (@Sendable (Int) -> TokenID)? = nil) throws {
    var free = setup
    free.cost = SimulatedExecutor.Cost()
    model = try free.executor()
    cost = setup.cost
    self.notes = notes
    self.script = script
  }

  deinit { scripted.deallocate() }

  var layout: KVLayout { model.layout }
  var vocabularySize: Int { model.vocabularySize }
  var maximumContextLength: Int { model.maximumContextLength }
  var endOfGenerationTokens: [TokenID] { model.endOfGenerationTokens }
  var memory: BlockMemory { model.memory }

  func copyBlock(from source: BlockID, to destination: BlockID) { model.copyBlock(from: source, to: destination) }

  func forward(_ batch: ForwardBatch) throws(ServingError) -> UnsafeBufferPointer<Float> {
    notes.add(batch, taking: cost.duration(of: batch))
    let logits = try model.forward(batch)
    guard let script else { return logits }
    if scripted.count < logits.count {
      scripted.deallocate()
      scripted = .allocate(capacity: logits.count)
    }
    scripted.initialize(repeating: 0)
    for (row, index) in batch.logitRows.enumerated() {
      guard let segment = batch.segments.first(where: { $0.tokenRange.contains(index) }) else { continue }
      let next = segment.startPosition + index - segment.tokenOffset + 1
      scripted[row * (batch.vocabularyPrefix ?? vocabularySize) + Int(script(next))] = 6
    }
    return UnsafeBufferPointer(rebasing: scripted[..<logits.count])
  }
}

extension Setup {
  /// An engine whose steps and time are noted; it stands until it is started or turned by hand.
  func engine(
    notes: NotingExecutor.Notes, fileTier: FaultyTier? = nil, script: (@Sendable (Int) -> TokenID)? = nil
  ) throws -> EngineCore {
    try EngineCore(
      executor: NotingExecutor(self, notes: notes, script: script), draftExecutor: draft?.executor(),
      configuration: configuration, fileTier: fileTier, clock: notes.clock)
  }
}
