/// What bounds a step and who goes first; named as in docs/design.md section 7.
public struct SchedulerConfiguration: Sendable {
  public var blockSize: Int
  public var maxNumSeqs: Int
  public var maxNumBatchedTokens: Int
  public var maxPrefillTokens: Int
  public var prefillChunkSize: Int
  public var handoffChunkSize: Int
  public var enableChunkedPrefill: Bool
  /// Zero is off.
  public var targetStepTime: Duration
  /// Tokens of a chunk that is computed in slices beside running sequences; 0: none is.
  public var slicedChunkSize: Int
  public var maxQueueWait: Duration
  public var policy: BatchSchedulerPolicy
  public var fairShare: FairSharePolicy
  /// Tokens that a tenant is given in its turn.
  public var fairShareQuantum: Int
  /// Blocks of one sequence that are on their way up from a tier at once.
  public var prefetchBlocks: Int
  /// Fewer blocks are not worth asking another worker for; 0: nobody is asked.
  public var fetchMinBlocks: Int
  /// A fetch is waited for at least so long, and otherwise for twice its estimate.
  public var fetchTimeout: Duration
  /// What a fetch is assumed to take before one was measured.
  public var fetchCost: FetchCost
  /// What a sequence holds from its admission on.
  public var reservation: BlockReservation

  /// Rows of logits that a step gives to prompts whose log-probabilities are wanted: each row is as long as the vocabulary.
  public static let promptLogitRows = 64

  public init(
    blockSize: Int = 16, maxNumSeqs: Int = 128, maxNumBatchedTokens: Int = 8192, maxPrefillTokens: Int = 8192,
    prefillChunkSize: Int = 1024, handoffChunkSize: Int = 256, enableChunkedPrefill: Bool = true,
    targetStepTime: Duration = .zero, slicedChunkSize: Int = 0, maxQueueWait: Duration = .seconds(30),
    policy: BatchSchedulerPolicy = .fifo,
    fairShare: FairSharePolicy = .none, fairShareQuantum: Int = 512, prefetchBlocks: Int = 4,
    fetchMinBlocks: Int = 0, fetchTimeout: Duration = .milliseconds(500), fetchCost: FetchCost = FetchCost(),
    reservation: BlockReservation = .asNeeded
  ) {
    self.blockSize = blockSize
    self.maxNumSeqs = maxNumSeqs
    self.maxNumBatchedTokens = maxNumBatchedTokens
    self.maxPrefillTokens = maxPrefillTokens
    self.prefillChunkSize = prefillChunkSize
    self.handoffChunkSize = handoffChunkSize
    self.enableChunkedPrefill = enableChunkedPrefill
    self.targetStepTime = targetStepTime
    self.slicedChunkSize = slicedChunkSize
    self.maxQueueWait = maxQueueWait
    self.policy = policy
    self.fairShare = fairShare
    self.fairShareQuantum = fairShareQuantum
    self.prefetchBlocks = prefetchBlocks
    self.fetchMinBlocks = fetchMinBlocks
    self.fetchTimeout = fetchTimeout
    self.fetchCost = fetchCost
    self.reservation = reservation
  }
}
