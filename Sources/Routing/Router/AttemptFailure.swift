import ServingTypes

/// What to do about a stream that failed. Pure.
package enum AttemptFailure: Hashable, Sendable {
  /// The worker has no room; another may have.
  case refused
  /// The worker, or the way to it, is gone.
  case lost
  /// The worker leaves, and gave the request up in good order.
  case moved
  /// Another worker would say the same.
  case fatal

  /// - Parameter isCancelledHere: whether this side ended the stream.
  package init(_ error: ServingError, isCancelledHere: Bool) {
    switch error.code {
    case .resourceExhausted: self = .refused
    case .unavailable, .failedPrecondition: self = .lost
    case .aborted: self = .moved
    case .cancelled: self = isCancelledHere ? .fatal : .lost
    case .invalidArgument, .deadlineExceeded, .notFound, .permissionDenied, .unimplemented, .internalError, .dataLoss,
      .unauthenticated:
      self = .fatal
    }
  }
}
