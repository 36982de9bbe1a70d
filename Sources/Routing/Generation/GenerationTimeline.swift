/// Seconds that each part of a request took, by the clock of the process that spent them.
public struct GenerationTimeline: Hashable, Sendable {
  /// Waiting in the decode worker before the hand-off or the local prefill began.
  public var decodeQueueSeconds: Double
  /// Waiting in the prefill worker.
  public var prefillQueueSeconds: Double
  /// From the first chunk to the first token.
  public var prefillSeconds: Double
  /// From the prefill's end to the last block verified at the decode worker: what the overlap did not hide.
  public var transferSeconds: Double
  /// From the request's arrival at the decode worker to its first token.
  public var firstTokenSeconds: Double
  /// From the first token to the last.
  public var decodeSeconds: Double
  /// Waiting for prefix blocks from other workers; a part of the queue's seconds.
  public var fetchSeconds: Double
  /// In the router, from the request's arrival to its first stream to a decode worker.
  public var routingSeconds = 0.0
  /// Waiting for blocks to be bound, and from the last block verified to the first token's going out.
  public var admissionSeconds = 0.0
  /// From the first token to the next one: the decode worker's own first step after a hand-off.
  public var firstStepSeconds = 0.0

  public init(
    decodeQueueSeconds: Double = 0, prefillQueueSeconds: Double = 0, prefillSeconds: Double = 0,
    transferSeconds: Double = 0, firstTokenSeconds: Double = 0, decodeSeconds: Double = 0,
    fetchSeconds: Double = 0
  ) {
    self.decodeQueueSeconds = decodeQueueSeconds
    self.prefillQueueSeconds = prefillQueueSeconds
    self.prefillSeconds = prefillSeconds
    self.transferSeconds = transferSeconds
    self.firstTokenSeconds = firstTokenSeconds
    self.decodeSeconds = decodeSeconds
    self.fetchSeconds = fetchSeconds
  }
}
