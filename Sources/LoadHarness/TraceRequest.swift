/// One request of a trace.
public struct TraceRequest: Codable, Hashable, Sendable {
  /// A prefix that requests share.
  public struct Prefix: Codable, Hashable, Sendable {
    public var id: Int
    public var length: Int

    public init(id: Int, length: Int) {
      self.id = id
      self.length = length
    }
  }

  /// Unique in the trace; also the seed of its own prompt tokens.
  public var id: Int
  /// Seconds after the start.
  public var arrival: Double
  /// Prompt tokens of its own, behind the shared prefix and what the conversation has so far.
  public var promptLength: Int
  /// Generated, no matter what the model says.
  public var outputLength: Int
  public var prefix: Prefix?
  /// Turns of one conversation run one after the other; each prompt continues the last one's prompt and output.
  public var conversation: Int?
  public var turn: Int
  /// Who asks; tenants share no cache. Nil where all are one.
  public var tenant: Int?

  public init(
    id: Int, arrival: Double = 0, promptLength: Int, outputLength: Int, prefix: Prefix? = nil,
    conversation: Int? = nil, turn: Int = 0, tenant: Int? = nil
  ) {
    self.id = id
    self.arrival = arrival
    self.promptLength = promptLength
    self.outputLength = outputLength
    self.prefix = prefix
    self.conversation = conversation
    self.turn = turn
    self.tenant = tenant
  }

  /// The tenant by name, also the salt that keeps its cached blocks apart from others'.
  public var tenantName: String { tenant.map { "tenant-\($0)" } ?? "" }
}
