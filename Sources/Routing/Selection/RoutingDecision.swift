import Directory
import ServingTypes

/// Where a request goes.
public struct RoutingDecision: Sendable {
  public var decode: WorkerRecord
  /// In order of preference; empty when the decode worker computes the prompt itself.
  public var prefill: [WorkerRecord]
  /// The prefill workers are named only in case that a prefix, which is on its way to the decode worker, comes late.
  public var isPrecaution = false
  /// Workers that whoever computes the prompt may fetch leading blocks from, the best first. The decode worker is not among
  /// them: it names itself.
  public var holders: [BlockHolder] = []
  /// Leading blocks that the decode worker is believed to hold.
  public var predicted: CachedPrefix
  /// Blocks of the prompt that must be computed, wherever.
  public var missingBlocks: Double
  /// Every candidate, for whoever asks why.
  public var costs: [CandidateCost]

  public var isDisaggregated: Bool { !prefill.isEmpty && !isPrecaution }
}
