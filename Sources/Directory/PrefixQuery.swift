import ServingTypes

/// Asks which of the holders have the leading blocks of a prompt.
public struct PrefixQuery: Sendable {
  public var layoutDigest: String
  /// The prompt's full blocks, first to last.
  public var hashes: [BlockHash]
  public var holders: [Holder]

  /// One life of a worker; what other lives announced does not count.
  public struct Holder: Hashable, Sendable {
    public var worker: WorkerID
    public var incarnation: Incarnation
    public var epoch: Int

    public init(worker: WorkerID, incarnation: Incarnation, epoch: Int) {
      self.worker = worker
      self.incarnation = incarnation
      self.epoch = epoch
    }
  }

  public init(layoutDigest: String, hashes: [BlockHash], holders: [Holder]) {
    self.layoutDigest = layoutDigest
    self.hashes = hashes
    self.holders = holders
  }
}
