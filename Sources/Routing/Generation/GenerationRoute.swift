import ServingTypes

/// Where a request ran and what it reused.
public struct GenerationRoute: Hashable, Sendable {
  public var decode: WorkerReference?
  /// Nil when the decode worker computed the prompt itself.
  public var prefill: WorkerReference?
  /// Prompt tokens found in the decode worker's own cache.
  public var decodeCachedTokens: Int
  /// Prompt tokens found in the prefill worker's cache.
  public var prefillCachedTokens: Int
  /// Prompt tokens that were computed for this request.
  public var computedTokens: Int
  /// Blocks that came over the hand-off, the tail included.
  public var transferredBlocks: Int
  public var transferredBytes: Int
  /// Prefix blocks that whoever computed the prompt fetched from other workers instead.
  public var fetchedBlocks: Int
  public var draftedTokens: Int
  public var acceptedTokens: Int
  /// Times that the request was reopened elsewhere.
  public var migrations: Int
  /// Filled when the request asked to explain.
  public var candidates: [CandidateCost]
  /// Prefill workers that could not help, in the order of asking.
  public var prefillFailures: [PrefillFailure]

  public init(
    decode: WorkerReference? = nil, prefill: WorkerReference? = nil, decodeCachedTokens: Int = 0,
    prefillCachedTokens: Int = 0, computedTokens: Int = 0, transferredBlocks: Int = 0, transferredBytes: Int = 0,
    fetchedBlocks: Int = 0, draftedTokens: Int = 0, acceptedTokens: Int = 0, migrations: Int = 0,
    candidates: [CandidateCost] = [],
    prefillFailures: [PrefillFailure] = []
  ) {
    self.decode = decode
    self.prefill = prefill
    self.decodeCachedTokens = decodeCachedTokens
    self.prefillCachedTokens = prefillCachedTokens
    self.computedTokens = computedTokens
    self.transferredBlocks = transferredBlocks
    self.transferredBytes = transferredBytes
    self.fetchedBlocks = fetchedBlocks
    self.draftedTokens = draftedTokens
    self.acceptedTokens = acceptedTokens
    self.migrations = migrations
    self.candidates = candidates
    self.prefillFailures = prefillFailures
  }
}
