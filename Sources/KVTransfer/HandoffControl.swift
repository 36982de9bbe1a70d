import ServingTypes

/// What a receiver still has to tell the sender. Credits add up and the newest acknowledgement stands for all, so this
/// never grows, however slow the stream is.
final class HandoffControl: Sendable {
  /// One turn's news.
  struct News: Hashable, Sendable {
    var credit = 0
    /// Nil when nothing new was acknowledged.
    var acknowledged: Int?
    /// Nothing more will come.
    var isClosed = false
  }

  private let state = Lock(News())
  private let wake: AsyncStream<Void>.Continuation
  /// Ticks when there is news; for one consumer.
  let wakes: AsyncStream<Void>

  init() {
    (wakes, wake) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
  }

  func credit(_ count: Int) {
    state.withLock { $0.credit += count }
    wake.yield()
  }

  func acknowledge(below index: Int) {
    state.withLock { $0.acknowledged = index }
    wake.yield()
  }

  func close() {
    state.withLock { $0.isClosed = true }
    wake.yield()
  }

  /// The news since the last call.
  func take() -> News {
    state.withLock { news in
      defer { news = News(isClosed: news.isClosed) }
      return news
    }
  }
}
