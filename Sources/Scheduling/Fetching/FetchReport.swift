/// How asking other workers for blocks ended.
public struct FetchReport: Hashable, Sendable {
  /// From the question to its answer, of the first holder that gave one; nil when none did.
  public var latency: Double?
  /// From the first answer to the end, and the blocks verified in that time.
  public var seconds: Double
  public var blocks: Int
  /// What went wrong last; nil when every block came.
  public var failure: FetchFailure?

  public init(latency: Double? = nil, seconds: Double = 0, blocks: Int = 0, failure: FetchFailure? = nil) {
    self.latency = latency
    self.seconds = seconds
    self.blocks = blocks
    self.failure = failure
  }
}
