/// A worker that is believed to hold leading blocks of a prompt.
public struct BlockHolder: Hashable, Sendable {
  public var worker: WorkerReference
  /// How many, from the first block on.
  public var blocks: Int

  public init(worker: WorkerReference, blocks: Int) {
    self.worker = worker
    self.blocks = blocks
  }
}
