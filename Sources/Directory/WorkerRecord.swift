import ServingTypes

/// What a worker's lease says about it.
public struct WorkerRecord: Hashable, Sendable {
  public var reference: WorkerReference
  public var role: WorkerRole
  public var model: String
  /// `KVLayout.digest`; workers share blocks only when theirs are equal.
  public var layoutDigest: String
  public var blockSize: Int
  /// Blocks in the pool.
  public var blockCount: Int
  /// Tokens of prompt and answer together, at most.
  public var maximumModelLength: Int
  public var load: WorkerLoad
  /// Finishes what it has and takes nothing new.
  public var isDraining: Bool
  /// Directory entries of this incarnation below this epoch are void.
  public var epoch: Int
  /// Grows with each report, so that a reader can tell a new report from an old one.
  public var sequence: Int

  public init(
    reference: WorkerReference, role: WorkerRole, model: String, layoutDigest: String, blockSize: Int,
    blockCount: Int, maximumModelLength: Int, load: WorkerLoad = WorkerLoad(), isDraining: Bool = false,
    epoch: Int = 0, sequence: Int = 0
  ) {
    self.reference = reference
    self.role = role
    self.model = model
    self.layoutDigest = layoutDigest
    self.blockSize = blockSize
    self.blockCount = blockCount
    self.maximumModelLength = maximumModelLength
    self.load = load
    self.isDraining = isDraining
    self.epoch = epoch
    self.sequence = sequence
  }

  public var id: WorkerID { reference.id }
}
