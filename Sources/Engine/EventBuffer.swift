import ServingTypes

/// The producer's end of an `EventStream`: the engine's thread puts, one consumer takes.
final class EventBuffer<Element: Sendable>: Sendable {
  typealias Taken = Result<Element?, ServingError>

  private struct State {
    var elements: [Element] = []
    var head = 0
    var end: ServingError?
    var isClosed = false
    var consumer: CheckedContinuation<Taken, Never>?
    /// A cancellation that came before its consumer was stored.
    var isConsumerCancelled = false

    mutating func take() -> Taken? {
      if head < elements.count {
        let element = elements[head]
        head += 1
        if head == elements.count {
          elements.removeAll(keepingCapacity: true)
          head = 0
        }
        return .success(element)
      }
      guard isClosed else { return nil }
      return end.map { .failure($0) } ?? .success(nil)
    }
  }

  private let state = Lock(State())
  private let merge: @Sendable (inout [Element], Int, Element) -> Bool

  /// `merge` may fold a new element into those not yet taken, which begin at the given index, and then returns true.
  init(merge: @escaping @Sendable (inout [Element], Int, Element) -> Bool) {
    self.merge = merge
  }

  func put(_ element: Element) {
    let resume: (() -> Void)? = state.withLock { state in
      guard !state.isClosed else { return nil }
      if state.head < state.elements.count, merge(&state.elements, state.head, element) { return nil }
      state.elements.append(element)
      guard let consumer = state.consumer, let taken = state.take() else { return nil }
      state.consumer = nil
      return { consumer.resume(returning: taken) }
    }
    resume?()
  }

  /// Ends the stream after what was put; nothing can be put any more. The first call counts.
  func close(_ error: ServingError? = nil) {
    let resume: (() -> Void)? = state.withLock { state in
      guard !state.isClosed else { return nil }
      state.isClosed = true
      state.end = error
      guard let consumer = state.consumer, let taken = state.take() else { return nil }
      state.consumer = nil
      return { consumer.resume(returning: taken) }
    }
    resume?()
  }

  /// Why the stream ended, where it ended badly.
  var failure: ServingError? { state.withLock { $0.end } }

  func next(isolation actor: isolated (any Actor)?) async throws(ServingError) -> Element? {
    let taken: Taken = await withTaskCancellationHandler(
      operation: {
        await withCheckedContinuation(isolation: actor) { continuation in
          let taken: Taken? = state.withLock { state in
            precondition(state.consumer == nil, "an EventStream has one consumer")
            if state.isConsumerCancelled {
              state.isConsumerCancelled = false
              return .failure(Self.cancelled)
            }
            if let taken = state.take() { return taken }
            state.consumer = continuation
            return nil
          }
          if let taken { continuation.resume(returning: taken) }
        }
      },
      onCancel: {
        let consumer: CheckedContinuation<Taken, Never>? = state.withLock { state in
          guard let consumer = state.consumer else {
            state.isConsumerCancelled = true
            return nil
          }
          state.consumer = nil
          return consumer
        }
        consumer?.resume(returning: .failure(Self.cancelled))
      }, isolation: actor)
    // The handler has run if it ever will; another task may read on.
    if Task.isCancelled { state.withLock { $0.isConsumerCancelled = false } }
    return try taken.get()
  }

  private static var cancelled: ServingError {
    ServingError(.cancelled, "the task that reads the events was cancelled")
  }
}
