import ServingTypes

/// What a receiver still has to tell the sender. Credits add up and the newest acknowledgement stands for all, so this
/// never grows, however slow the stream is.
public final class HandoffControl: Sendable {
  /// One turn's news.
  public struct News: Hashable, Sendable {
    public var credit = 0
    /// Nil when nothing new was acknowledged.
    public var acknowledged: Int?
    /// Nothing more will come.
    public var isClosed = false
  }

  private let state = Lock(News())
  private let wake: AsyncStream<Void>.Continuation
  /// Ticks when there is news; for one consumer.
  public let wakes: AsyncStream<Void>

  public init() {
    (wakes, wake) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
  }

  public func credit(_ count: Int) {
    state.withLock { $0.credit += count }
    wake.yield()
  }

  public func acknowledge(below index: Int) {
    state.withLock { $0.acknowledged = index }
    wake.yield()
  }

  public func close() {
    state.withLock { $0.isClosed = true }
    wake.yield()
  }

  /// The news since the last call.
  public func take() -> News {
    state.withLock { news in
      defer { news = News(isClosed: news.isClosed) }
      return news
    }
  }
}
