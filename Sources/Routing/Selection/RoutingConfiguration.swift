import ServingTypes

/// The router's settings, with their defaults.
public struct RoutingConfiguration: Sendable {
  public var policy: RoutingPolicy = .prefix
  /// A decode worker computes the prompt itself when at most this many tokens are uncached …
  public var localPrefillTokens = 128
  /// … and they are at most this share of the prompt.
  public var localPrefillShare = 0.5
  /// Prefill workers named with each request, in order of preference; 0 never disaggregates.
  public var maximumPrefillCandidates = 3
  /// Holders of prefix blocks named with each request, from which they may be fetched; 0 names none.
  public var maximumHolders = 3
  /// What a block costs that another worker holds, beside one that is computed: a transfer, and a second copy.
  public var fetchBlockCost = 0.5
  /// Fewer blocks are not fetched.
  public var fetchMinBlocks = 4
  /// What a block of a running sequence adds to a worker's cost, beside one that is to be computed: it is read in each step,
  /// which takes a small part of the time that computing it took.
  public var activeBlockCost = 0.125
  /// What a block adds that the worker lately computed …
  public var recentBlockCost = 0.5
  /// … and for how long: after this time it counts for 1/e.
  public var recentLifetime: Duration = .seconds(20)
  /// What one waiting sequence adds to a worker's cost, in blocks, beside its prompt.
  public var waitingSequenceBlocks = 4.0
  /// A worker is passed over, while others are not, above this share of its blocks in use …
  public var maximumActiveShare = 0.95
  /// … or above this many blocks of prompts still to be computed.
  public var maximumPendingBlocks = 4096.0
  /// Times that a request is reopened elsewhere after its stream died, without a new token in between.
  public var maximumMigrations = 3
  /// Workers asked when each of them refuses for overload, without a new token in between.
  public var maximumRefusals = 16
  /// Both together, over a request's whole life.
  public var maximumReopenings = 64
  /// A worker that says nothing on a stream for this long is asked whether it lives; half of it where its lease is gone.
  public var streamStallTimeout: Duration = .seconds(3)
  /// How long it may take to answer that.
  public var probeTimeout: Duration = .seconds(2)
  /// How long a request whose stream died waits for a worker to move to.
  public var migrationWait: Duration = .seconds(10)
  /// The pause before a request is reopened, times the number of tries.
  public var reopenDelay: Duration = .milliseconds(20)
  /// Threads that tokenise and hash prompts, at least 1.
  public var numSchedulerThreads = 2
  /// Requests under way; more are refused.
  public var maximumInFlight = 4096
  /// Bytes of the bodies of requests under way; more are refused.
  public var maximumBodyBytesInFlight = 64 << 20
  /// What a request may take in all; a later deadline that it brings is cut.
  public var requestTimeout: Duration = .seconds(3600)
  /// Updates that wait for a slow client; then the stream from the worker waits.
  public var updateBacklog = 8
  /// What a client that was refused for overload is told to wait.
  public var retryAfter: Duration = .seconds(1)
  /// Between two looks at the list of workers.
  public var refreshInterval: Duration = .milliseconds(500)
  /// A worker that could not be reached is passed over for this long, while others are not.
  public var suspicion: Duration = .seconds(5)
  /// A worker whose lease is gone is remembered for this long, in case the directory lost its memory.
  public var leaseGrace: Duration = .seconds(15)
  /// How long the router trusts what it routed itself, beside the directory …
  public var overlayLifetime: Duration = .seconds(10)
  /// … and without one.
  public var overlayLifetimeAlone: Duration = .seconds(600)
  /// Blocks that the router remembers having routed.
  public var overlayCapacity = 262_144
  /// Empty but in tests.
  package var mutants: Mutants = []

  public init() {}
}
