import ServingTypes

/// What an engine is asked to generate.
public struct EngineRequest: Sendable {
  public var id: RequestID
  public var prompt: [TokenID]
  /// Tokens that each sample already has, in order of the sample's index, when the request began elsewhere; empty is none.
  public var generated: [[TokenID]]
  /// A missing seed is drawn at random.
  public var sampling: SamplingParameters
  /// Requests share cached blocks only within one salt.
  public var cacheSalt: String
  public var tenant: String
  /// Higher goes first.
  public var priority: Int
  public var deadline: ContinuousClock.Instant?
  /// Workers from which leading blocks may be fetched; the best first.
  public var holders: [BlockHolder]

  public init(
    id: RequestID = .random(), prompt: [TokenID], generated: [[TokenID]] = [],
    sampling: SamplingParameters = SamplingParameters(), cacheSalt: String = "", tenant: String = "", priority: Int = 0,
    deadline: ContinuousClock.Instant? = nil, holders: [BlockHolder] = []
  ) {
    self.id = id
    self.prompt = prompt
    self.generated = generated
    self.sampling = sampling
    self.cacheSalt = cacheSalt
    self.tenant = tenant
    self.priority = priority
    self.deadline = deadline
    self.holders = holders
  }

  /// The tokens whose blocks a hand-off carries: the prompt and, where there is but one sample, what it has generated.
  ///
  /// With several samples, each computes what it had generated on the decode worker, on top of the shared prompt.
  public var prefix: [TokenID] {
    sampling.n == 1 && !generated.isEmpty ? prompt + generated[0] : prompt
  }
}
