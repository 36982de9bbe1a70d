/// An error that reaches a client: a code that maps to one gRPC and one HTTP status, and a message to act on.
public struct ServingError: Error, Hashable, Sendable, CustomStringConvertible {
  /// Mapped to a gRPC status in `RPC` and to an HTTP status in `OpenAIAPI`, nowhere else.
  public enum Code: String, Hashable, Sendable, CaseIterable {
    case cancelled
    case invalidArgument
    case deadlineExceeded
    case notFound
    case permissionDenied
    case resourceExhausted
    case failedPrecondition
    case aborted
    case unimplemented
    case internalError
    case unavailable
    case dataLoss
    case unauthenticated
  }

  public var code: Code
  public var message: String
  /// For `resourceExhausted` and `unavailable`: when trying again makes sense.
  public var retryAfter: Duration?

  public init(_ code: Code, _ message: String, retryAfter: Duration? = nil) {
    self.code = code
    self.message = message
    self.retryAfter = retryAfter
  }

  public var description: String { "\(code.rawValue): \(message)" }
}
