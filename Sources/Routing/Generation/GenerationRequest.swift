import Observability
import ServingTypes
import Tokenization

/// What a client asks the router for.
public struct GenerationRequest: Sendable {
  public enum Prompt: Sendable {
    /// Taken as it is; special tokens in it are parsed.
    case text(String)
    case tokens([TokenID])
    /// Rendered by the model's chat template.
    case chat([ChatMessage])

    /// What it takes in memory, about.
    public var bytes: Int {
      if case .tokens(let tokens) = self { return tokens.count * MemoryLayout<TokenID>.stride }
      return textBytes
    }

    /// Bytes of text that are to be tokenised.
    public var textBytes: Int {
      switch self {
      case .text(let text): text.utf8.count
      case .tokens: 0
      case .chat(let messages): messages.reduce(0) { $0 + $1.content.utf8.count }
      }
    }

    /// A few hashes take less time than to wake a thread for them.
    var isQuicklyPrepared: Bool {
      if case .tokens(let tokens) = self { tokens.count <= 1024 } else { false }
    }
  }

  /// Drawn by the router when nil.
  public var id: RequestID?
  /// Empty: the only model served.
  public var model: String
  public var prompt: Prompt
  public var sampling: SamplingParameters
  /// Requests share cached blocks only within one salt.
  public var cacheSalt: String
  public var tenant: String
  /// Higher goes first.
  public var priority: Int
  /// Whether the last update carries the route with every candidate's cost.
  public var explain: Bool
  public var deadline: ContinuousClock.Instant?
  /// The trace that it belongs to; a new one begins when nil.
  public var trace: TraceContext?

  public init(
    id: RequestID? = nil, model: String = "", prompt: Prompt, sampling: SamplingParameters = SamplingParameters(),
    cacheSalt: String = "", tenant: String = "", priority: Int = 0, explain: Bool = false,
    deadline: ContinuousClock.Instant? = nil, trace: TraceContext? = nil
  ) {
    self.id = id
    self.model = model
    self.prompt = prompt
    self.sampling = sampling
    self.cacheSalt = cacheSalt
    self.tenant = tenant
    self.priority = priority
    self.explain = explain
    self.deadline = deadline
    self.trace = trace
  }
}
