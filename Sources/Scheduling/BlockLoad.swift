import KVCache
import ServingTypes

/// A block of a waiting sequence that is to be brought up from a tier.
public struct BlockLoad {
  public let sequence: Sequence
  /// Which of the sequence's waits it belongs to.
  let turn: UInt32
  /// In the sequence.
  public let index: Int
  public let transfer: TierTransfer

  /// Whether anybody still waits for it.
  public var isWanted: Bool {
    guard let progress = sequence.loading else { return false }
    return progress.turn == turn && index < progress.end
  }
}

/// How far the blocks of a sequence have come up.
struct LoadProgress {
  var turn: UInt32
  /// The next block to ask for, and the end of those that are worth it.
  var next: Int
  var end: Int
  var inFlight = 0
  /// Blocks that are here, before those ahead of them are.
  var arrived: [Int: TierTransfer] = [:]
  /// The blocks behind those of the tiers, where another worker is asked for them.
  var fetch: FetchProgress?
  /// From then on computing goes first.
  var deadline: ContinuousClock.Instant
  /// What computing one block takes; nil where nothing is known.
  var computeSeconds: Double?
}
