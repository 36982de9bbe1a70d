/// What the requests of many tenants to a cluster are made from: chats whose histories grow, and long documents that are
/// asked again and again. The same recipe gives the same trace on every machine.
public struct ClusterRecipe: Codable, Hashable, Sendable {
  public var name: String
  public var seed: UInt64
  /// Requests arrive within it, those of the warm-up first.
  public var seconds: Double
  /// Chats have just begun then, and fewer messages come than later: these requests are sent, but not counted.
  public var warmUpSeconds: Double
  /// In the mean, once as many chats begin as end; whether or not the answers keep up.
  public var requestsPerSecond: Double
  /// Tokens of a prompt and its answer at most; a chat ends before it has more.
  public var longestContext: Int
  /// Each has a system prompt of its own; the second asks half as often as the first, the third a third as often, …
  public var tenants: Int
  public var systemPrompt: LengthDistribution
  /// Share of the requests that are turns of chats.
  public var chatShare: Double
  public var turns: LengthDistribution
  public var message: LengthDistribution
  public var answer: LengthDistribution
  /// Between the end of an answer and the next message: a pause, exponential with this mean, …
  public var pauseSeconds: Double
  /// … and the time to wait for and read each token of the answer.
  public var secondsPerToken: Double
  /// Chosen as tenants are.
  public var documents: Int
  public var document: LengthDistribution
  public var question: LengthDistribution
  public var documentAnswer: LengthDistribution

  /// Chats with an assistant that has long instructions, as those that help with code do: some messages paste much, most
  /// are a few lines; answers are short enough for people to read.
  ///
  /// The rate is such that neither policy is overloaded with 8 prefill and 8 decode workers of the simulated model `8b`.
  /// A prompt has about 3,000 tokens in the mean. Sent to any of eight workers it finds less than half of itself there: 1,700
  /// tokens to compute, 0.18 s with its step, so that eight workers are busy for 0.63 of the time at 28 requests a second.
  public static let chats = ClusterRecipe(
    name: "chats", seed: 1, seconds: 55, warmUpSeconds: 25, requestsPerSecond: 28, longestContext: 16_384, tenants: 12,
    systemPrompt: LengthDistribution(median: 1500, spread: 0.4, least: 400, most: 4000), chatShare: 1,
    turns: LengthDistribution(median: 6, spread: 0.5, least: 2, most: 14),
    message: LengthDistribution(median: 200, spread: 1, least: 16, most: 3000),
    answer: LengthDistribution(median: 120, spread: 0.7, least: 8, most: 500), pauseSeconds: 2, secondsPerToken: 0.012,
    documents: 0, document: .fixed(1), question: .fixed(1), documentAnswer: .fixed(1))

  /// Documents of about 8,000 tokens that are asked again and again, as contracts, manuals and repositories are.
  public static let documents = ClusterRecipe(
    name: "documents", seed: 2, seconds: 45, warmUpSeconds: 10, requestsPerSecond: 12, longestContext: 24_576,
    tenants: 4,
    systemPrompt: .fixed(1), chatShare: 0, turns: .fixed(1), message: .fixed(1), answer: .fixed(1), pauseSeconds: 1,
    secondsPerToken: 0.012, documents: 48,
    document: LengthDistribution(median: 8000, spread: 0.5, least: 2000, most: 20_000),
    question: LengthDistribution(median: 60, spread: 0.7, least: 8, most: 400),
    documentAnswer: LengthDistribution(median: 150, spread: 0.7, least: 8, most: 600))

  /// Three turns of chats for each question to a document.
  public static let mixed: ClusterRecipe = {
    var mixed = chats
    (mixed.name, mixed.seed, mixed.requestsPerSecond, mixed.chatShare) = ("mixed", 3, 20, 0.75)
    (mixed.documents, mixed.document, mixed.longestContext) = (24, documents.document, documents.longestContext)
    (mixed.question, mixed.documentAnswer) = (documents.question, documents.documentAnswer)
    return mixed
  }()

  /// Those that go by a name.
  public static let named = [chats, documents, mixed]
}
