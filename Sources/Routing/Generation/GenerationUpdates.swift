import ServingTypes

/// The updates of one answer, for one consumer. Cancelling the consuming task, calling `cancel()` or letting go of the
/// sequence cancels the request everywhere.
public struct GenerationUpdates: AsyncSequence, Sendable {
  public typealias Element = GenerationUpdate
  public typealias Failure = ServingError

  private let consumer: Consumer

  /// A sequence and the end that feeds it. At most `capacity` updates wait between the two.
  public static func makeStream(capacity: Int = 8) -> (updates: GenerationUpdates, sink: GenerationSink) {
    let channel = BoundedChannel<GenerationUpdate>(capacity: capacity)
    return (GenerationUpdates(consumer: Consumer(channel: channel)), GenerationSink(destination: .channel(channel)))
  }

  public func cancel() { consumer.channel.cancel() }

  /// Returns when the first update is there, or the end; throws when the request failed before it.
  func waitForFirst() async throws(ServingError) { try await consumer.channel.waitForElement() }

  public func makeAsyncIterator() -> Iterator { Iterator(consumer: consumer) }

  public struct Iterator: AsyncIteratorProtocol {
    fileprivate let consumer: Consumer

    public mutating func next() async throws(ServingError) -> GenerationUpdate? {
      try await consumer.channel.next()
    }

    public mutating func next(
      isolation actor: isolated (any Actor)?
    ) async throws(ServingError) -> GenerationUpdate? {
      try await consumer.channel.next()
    }
  }

  fileprivate final class Consumer: Sendable {
    let channel: BoundedChannel<GenerationUpdate>

    init(channel: BoundedChannel<GenerationUpdate>) { self.channel = channel }

    deinit { channel.cancel() }
  }
}
