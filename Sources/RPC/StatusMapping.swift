import GRPCCore
import ServingTypes

/// The one place where errors become gRPC statuses and back.
public enum StatusMapping {
  /// Metadata of an error: after how many milliseconds trying again makes sense.
  public static let retryAfterKey = "retry-after-ms"

  /// The longest delay that a peer can ask for; a longer one is cut.
  static let longestRetryAfter = Duration.seconds(3600)

  public static func code(for code: ServingError.Code) -> RPCError.Code {
    switch code {
    case .cancelled: .cancelled
    case .invalidArgument: .invalidArgument
    case .deadlineExceeded: .deadlineExceeded
    case .notFound: .notFound
    case .permissionDenied: .permissionDenied
    case .resourceExhausted: .resourceExhausted
    case .failedPrecondition: .failedPrecondition
    case .aborted: .aborted
    case .unimplemented: .unimplemented
    case .internalError: .internalError
    case .unavailable: .unavailable
    case .dataLoss: .dataLoss
    case .unauthenticated: .unauthenticated
    }
  }

  /// Codes that this system never sends are taken for the nearest one that it does.
  public static func code(for code: RPCError.Code) -> ServingError.Code {
    switch code {
    case .cancelled: .cancelled
    case .invalidArgument, .outOfRange: .invalidArgument
    case .deadlineExceeded: .deadlineExceeded
    case .notFound: .notFound
    case .permissionDenied: .permissionDenied
    case .resourceExhausted: .resourceExhausted
    case .failedPrecondition, .alreadyExists: .failedPrecondition
    case .aborted: .aborted
    case .unimplemented: .unimplemented
    case .unavailable: .unavailable
    case .dataLoss: .dataLoss
    case .unauthenticated: .unauthenticated
    default: .internalError
    }
  }

  static func retryAfter(in metadata: Metadata) -> Duration? {
    for text in metadata[stringValues: retryAfterKey] {
      guard let milliseconds = Int64(text), milliseconds >= 0 else { return nil }
      return milliseconds >= 3_600_000 ? longestRetryAfter : .milliseconds(milliseconds)
    }
    return nil
  }
}

// A handler that throws a `ServingError` answers with its code, its message and its delay.
extension ServingError: RPCErrorConvertible {
  public var rpcErrorCode: RPCError.Code { StatusMapping.code(for: code) }

  public var rpcErrorMessage: String { message }

  public var rpcErrorMetadata: Metadata {
    guard let retryAfter else { return [:] }
    let (seconds, attoseconds) = min(max(retryAfter, .zero), StatusMapping.longestRetryAfter).components
    return ["retry-after-ms": "\(seconds * 1000 + attoseconds / 1_000_000_000_000_000)"]
  }

  public init(_ error: RPCError) {
    self.init(
      StatusMapping.code(for: error.code), error.message, retryAfter: StatusMapping.retryAfter(in: error.metadata))
  }

  /// Any error that a call can throw.
  public init(any error: any Error) {
    switch error {
    case let error as ServingError: self = error
    case let error as RPCError: self.init(error)
    case is CancellationError: self.init(.cancelled, "the call was cancelled")
    case let error as RuntimeError: self.init(.unavailable, error.message)
    default: self.init(.internalError, String(describing: error))
    }
  }
}
