/// Where the HTTP API listens, whom it serves and within which limits.
public struct OpenAIServerConfiguration: Sendable {
  public var listen: HTTPListenerConfiguration
  /// Any of these opens `/v1/…` as `Authorization: Bearer KEY`; empty: no key is needed.
  public var apiKeys: [String]
  /// Bytes of a request's body, at most.
  public var maximumBodyBytes: Int
  /// Generations in flight, at most; more are answered with 429.
  public var maximumRequests: Int
  /// A whole request takes this long at most; nil: no limit but the workers'.
  public var requestTimeout: Duration?
  public var servesStatusPage: Bool

  public init(
    listen: HTTPListenerConfiguration = HTTPListenerConfiguration(), apiKeys: [String] = [],
    maximumBodyBytes: Int = 8 << 20, maximumRequests: Int = 1024, requestTimeout: Duration? = .seconds(600),
    servesStatusPage: Bool = true
  ) {
    self.listen = listen
    self.apiKeys = apiKeys
    self.maximumBodyBytes = maximumBodyBytes
    self.maximumRequests = maximumRequests
    self.requestTimeout = requestTimeout
    self.servesStatusPage = servesStatusPage
  }
}
