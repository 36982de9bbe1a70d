import ServingTypes

/// An error as OpenAI's API reports it: an HTTP status and `{"error":{message,type,param,code}}`.
///
/// The one place where a `ServingError` becomes an HTTP status.
public struct APIError: Error, Hashable, Sendable {
  /// The HTTP status code.
  public var status: Int
  public var type: String
  public var message: String
  /// The field at fault, as in `messages[0].content`.
  public var param: String?
  public var code: String?
  /// Sent as `Retry-After`, in whole seconds, rounded up.
  public var retryAfter: Duration?

  public init(
    status: Int, type: String = "invalid_request_error", message: String, param: String? = nil, code: String? = nil,
    retryAfter: Duration? = nil
  ) {
    self.status = status
    self.type = type
    self.message = message
    self.param = param
    self.code = code
    self.retryAfter = retryAfter
  }

  /// A field that cannot be served as it is.
  static func invalid(_ param: String?, _ message: String) -> APIError {
    APIError(status: 400, message: message, param: param)
  }

  public init(_ error: ServingError) {
    switch error.code {
    case .invalidArgument:
      self.init(status: 400, message: error.message, param: Self.fieldNamed(by: error.message))
    case .notFound: self.init(status: 404, message: error.message, param: "model", code: "model_not_found")
    case .unauthenticated: self.init(status: 401, message: error.message, code: "invalid_api_key")
    case .permissionDenied: self.init(status: 403, type: "permission_error", message: error.message)
    case .resourceExhausted:
      self.init(
        status: 429, type: "rate_limit_error", message: error.message, code: "rate_limit_exceeded",
        retryAfter: error.retryAfter ?? .seconds(1))
    case .unavailable, .failedPrecondition, .aborted:
      self.init(
        status: 503, type: "service_unavailable_error", message: error.message, code: "unavailable",
        retryAfter: error.retryAfter ?? .seconds(1))
    case .deadlineExceeded: self.init(status: 504, type: "timeout_error", message: error.message, code: "timeout")
    case .cancelled: self.init(status: 499, type: "cancelled_error", message: error.message, code: "cancelled")
    case .unimplemented: self.init(status: 501, message: error.message, code: "unsupported")
    case .internalError, .dataLoss: self.init(status: 500, type: "server_error", message: error.message)
    }
  }

  /// Any error; what is not meant for clients is replaced by a general message.
  public init(_ error: any Error) {
    switch error {
    case let error as APIError: self = error
    case let error as ServingError: self.init(error)
    case is CancellationError: self.init(ServingError(.cancelled, "the request was cancelled"))
    default: self.init(status: 500, type: "server_error", message: "internal error; the server's log has the details")
    }
  }

  /// The field that a message of `SamplingParameters.validate` begins with.
  private static func fieldNamed(by message: String) -> String? {
    guard let word = message.split(separator: " ", maxSplits: 1).first.map(String.init) else { return nil }
    return fields.contains(word) ? word : nil
  }

  private static let fields: Set<String> = [
    "temperature", "top_k", "top_p", "min_p", "repetition_penalty", "frequency_penalty", "presence_penalty",
    "logit_bias", "max_tokens", "min_tokens", "stop", "stop_token_ids", "logprobs", "n", "prompt", "messages", "model",
    "seed", "priority", "cache_salt",
  ]
}
