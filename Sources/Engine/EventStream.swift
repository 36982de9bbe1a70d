import ServingTypes

/// A request's events, for one consumer.
///
/// Bounded: for a slow consumer tokens are merged, and blocks are no more than the prompt's. Cancelling the task that
/// iterates ends the iteration with `cancelled` and leaves the request alone; it may be iterated on by another task.
public final class EventStream<Element: Sendable>: AsyncSequence, Sendable {
  public typealias Failure = ServingError

  let buffer: EventBuffer<Element>
  // The request lives on while either the handle or the stream does.
  private let lifetime: RequestLifetime

  init(buffer: EventBuffer<Element>, lifetime: RequestLifetime) {
    self.buffer = buffer
    self.lifetime = lifetime
  }

  public struct AsyncIterator: AsyncIteratorProtocol {
    let stream: EventStream

    public mutating func next() async throws(ServingError) -> Element? {
      try await stream.buffer.next(isolation: nil)
    }

    public mutating func next(isolation actor: isolated (any Actor)?) async throws(ServingError) -> Element? {
      try await stream.buffer.next(isolation: actor)
    }
  }

  public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(stream: self) }
}
