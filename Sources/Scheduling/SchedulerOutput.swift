import KVCache
import ServingTypes

/// What one step does.
public struct SchedulerOutput {
  /// A sequence's part of the step.
  public struct Segment {
    public var sequence: Sequence
    /// The position of the first token.
    public var start: Int
    /// Tokens of the sequence, drafts apart.
    public var count: Int
    /// The first so many of the sequence's drafts follow.
    public var draftCount: Int
    /// The logits of the segment's last tokens are wanted.
    public var logitCount: Int
    /// The first so many of these serve the prompt's log-probabilities; the others give new tokens.
    public var promptLogitCount = 0
    /// One token of a sequence that generates, and drafts.
    public var isDecode: Bool
  }

  /// A piece of time for a chunk that is computed over several steps.
  public struct Slice {
    /// The whole chunk, which is none of the step's segments.
    public var segment: Segment
    /// Its first slice.
    public var isFirst: Bool
    /// How long the step may take, this slice included.
    public var stepSeconds: Double
  }

  /// A request that is not served.
  public struct Refusal {
    public var group: SequenceGroup
    public var error: ServingError
  }

  public internal(set) var segments: [Segment] = []
  public internal(set) var slice: Slice?
  /// To be carried out in order, before the forward pass, and also when there is none.
  public internal(set) var copies: [BlockCopy] = []
  /// Admitted for the first time.
  public internal(set) var admitted: [SequenceGroup] = []
  /// Received groups whose capacity is promised now.
  public internal(set) var reserved: [SequenceGroup] = []
  /// Received groups whose blocks are bound now.
  public internal(set) var bound: [SequenceGroup] = []
  /// Received groups whose promise was taken back, as blocks are short: they compute their prompts here.
  public internal(set) var withdrawn: [SequenceGroup] = []
  public internal(set) var preempted: [Sequence] = []
  /// Taken off the queue.
  public internal(set) var refused: [Refusal] = []
  public internal(set) var prefillTokens = 0
  public internal(set) var decodeTokens = 0
  /// For each prefill token the tokens before it, summed: what attention reads.
  public internal(set) var prefillContext = 0
  var promptLogitRows = 0

  public init() {}

  public var tokenCount: Int { prefillTokens + decodeTokens }

  mutating func removeAll() {
    segments.removeAll(keepingCapacity: true)
    slice = nil
    copies.removeAll(keepingCapacity: true)
    admitted.removeAll(keepingCapacity: true)
    reserved.removeAll(keepingCapacity: true)
    bound.removeAll(keepingCapacity: true)
    withdrawn.removeAll(keepingCapacity: true)
    preempted.removeAll(keepingCapacity: true)
    refused.removeAll(keepingCapacity: true)
    prefillTokens = 0
    decodeTokens = 0
    prefillContext = 0
    promptLogitRows = 0
  }
}
