import GRPCCore
import GRPCProtobuf
import ServingTypes

/// The one place where errors become gRPC statuses and back.
public enum StatusMapping {
  /// Metadata of an error: after how many milliseconds trying again makes sense.
  public static let retryAfterKey = "retry-after-ms"

  /// The longest delay that a peer can ask for; a longer one is cut.
  static let longestRetryAfter = Duration.seconds(3600)

  /// Of an error's message in the metadata, which are bounded, in characters.
  static let longestDetail = 300

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

  /// - Parameter status: a gRPC status as a number; an unknown one is an internal error.
  public static func code(forStatus status: Int) -> ServingError.Code {
    guard let status = Status.Code(rawValue: status), let error = RPCError.Code(status) else { return .internalError }
    return code(for: error)
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
    let delay = min(max(retryAfter, .zero), StatusMapping.longestRetryAfter)
    let (seconds, attoseconds) = delay.components
    // For callers that know `google.rpc.RetryInfo`.
    var metadata = GoogleRPCStatus(
      code: rpcErrorCode, message: String(message.prefix(StatusMapping.longestDetail)),
      details: .retryInfo(delay: delay)
    ).rpcErrorMetadata
    metadata.addString(
      "\(seconds * 1000 + attoseconds / 1_000_000_000_000_000)", forKey: StatusMapping.retryAfterKey)
    return metadata
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
