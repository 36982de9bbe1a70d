import KVCache
import ModelRuntime
import ServingTypes

/// A copy for the tiers' threads.
struct TierJob: Sendable {
  var id: UInt64
  var transfer: TierTransfer
  var stamp: BlockStamp
  /// The pool's, for the end that lies there.
  var memory: BlockMemory
  /// The tiers of those ends that lie there.
  var source: (any BlockTier)?
  var destination: (any BlockTier)?
  var claim: TierClaim

  /// Somebody waits for it.
  var isLoad: Bool { transfer.destination == .device }
}

/// What a copy's thread says of it.
struct TierReport: Sendable {
  enum Event: Sendable {
    /// The pool's block is not read any more; the copy goes on.
    case copied
    case ended(TierFailure?)
  }

  var id: UInt64
  var event: Event
  var seconds: Double
}
