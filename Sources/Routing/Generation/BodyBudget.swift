import ServingTypes

/// Bytes of requests' bodies that may be in memory at once, whichever way they came. Any thread may call.
public final class BodyBudget: Sendable {
  public let limit: Int
  private let bytes = Lock(0)

  public init(limit: Int) { self.limit = limit }

  /// Bytes taken now.
  public var used: Int { bytes.withLock { $0 } }

  /// - Returns: whether there was room; `give` gives it back.
  public func take(_ count: Int) -> Bool {
    bytes.withLock { bytes in
      guard count <= limit - bytes else { return false }
      bytes += count
      return true
    }
  }

  public func give(_ count: Int) { bytes.withLock { $0 -= count } }

  /// Why a body is refused.
  public func refusal(retryAfter: Duration) -> ServingError {
    ServingError(
      .resourceExhausted, "the bodies of the requests under way fill the \(limit) bytes that they may have",
      retryAfter: retryAfter)
  }
}
