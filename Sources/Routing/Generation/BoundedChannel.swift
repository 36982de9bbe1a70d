import ServingTypes

/// A bounded queue between one producing and one consuming task, which waits at either end.
final class BoundedChannel<Element: Sendable>: Sendable {
  private enum Outcome {
    case open
    case finished(ServingError?)
    case cancelled
  }

  /// Who may wait. No key path: in a generic type it would be looked up anew at each use.
  private enum Waiter {
    case consumer
    case producer
    case watcher
  }

  private struct State {
    var buffer: [Element] = []
    var outcome = Outcome.open
    var consumer: CheckedContinuation<Void, Never>?
    var producer: CheckedContinuation<Void, Never>?
    var watcher: CheckedContinuation<Void, Never>?

    subscript(waiter: Waiter) -> CheckedContinuation<Void, Never>? {
      get {
        switch waiter {
        case .consumer: consumer
        case .producer: producer
        case .watcher: watcher
        }
      }
      set {
        switch waiter {
        case .consumer: consumer = newValue
        case .producer: producer = newValue
        case .watcher: watcher = newValue
        }
      }
    }
  }

  private enum Step<Value: Sendable>: Sendable {
    case value(Value)
    case failure(ServingError)
    case wait
  }

  private let capacity: Int
  private let state = Lock(State())

  init(capacity: Int) {
    precondition(capacity > 0, "a channel holds at least one element")
    self.capacity = capacity
  }

  private static var consumerGone: ServingError { ServingError(.cancelled, "the request was cancelled by its caller") }

  var isCancelled: Bool {
    state.withLock { state in
      if case .cancelled = state.outcome { true } else { false }
    }
  }

  func send(_ element: Element) async throws(ServingError) {
    while true {
      if Task.isCancelled { throw ServingError(.cancelled, "the request was cancelled") }
      let (step, waiting) = state.withLock { state -> (Step<Bool>, CheckedContinuation<Void, Never>?) in
        switch state.outcome {
        case .cancelled: return (.failure(Self.consumerGone), nil)
        case .finished: return (.failure(ServingError(.internalError, "sent after the end of the stream")), nil)
        case .open:
          if state.buffer.count >= capacity { return (.wait, nil) }
          state.buffer.append(element)
          return (.value(true), state.consumer.take())
        }
      }
      waiting?.resume()
      switch step {
      case .value: return
      case .failure(let error): throw error
      case .wait: await waitForRoom()
      }
    }
  }

  /// Not while a `send` waits, which it would overtake.
  /// - Returns: false where there is no room, or no consumer any more.
  func sendNow(_ element: Element) -> Bool {
    let (isSent, waiting) = state.withLock { state -> (Bool, CheckedContinuation<Void, Never>?) in
      guard case .open = state.outcome, state.buffer.count < capacity else { return (false, nil) }
      state.buffer.append(element)
      return (true, state.consumer.take())
    }
    waiting?.resume()
    return isSent
  }

  func finish(throwing error: ServingError?) {
    let waiting = state.withLock { state -> [CheckedContinuation<Void, Never>?] in
      guard case .open = state.outcome else { return [] }
      state.outcome = .finished(error)
      return [state.consumer.take(), state.producer.take(), state.watcher.take()]
    }
    for continuation in waiting { continuation?.resume() }
  }

  /// The consumer is gone: what it has not read is dropped. Without effect after its end was read.
  func cancel() {
    let waiting = state.withLock { state -> [CheckedContinuation<Void, Never>?] in
      guard case .open = state.outcome else { return [] }
      state.outcome = .cancelled
      state.buffer = []
      return [state.consumer.take(), state.producer.take(), state.watcher.take()]
    }
    for continuation in waiting { continuation?.resume() }
  }

  func next() async throws(ServingError) -> Element? {
    while true {
      if Task.isCancelled { cancel() }
      let (step, waiting) = state.withLock { state -> (Step<Element?>, CheckedContinuation<Void, Never>?) in
        if !state.buffer.isEmpty {
          let element = state.buffer.removeFirst()
          return (.value(element), state.producer.take())
        }
        switch state.outcome {
        case .open: return (.wait, nil)
        case .cancelled: return (.failure(Self.consumerGone), nil)
        case .finished(let error?): return (.failure(error), nil)
        case .finished(nil): return (.value(nil), nil)
        }
      }
      waiting?.resume()
      switch step {
      case .value(let element): return element
      case .failure(let error): throw error
      case .wait: await waitForElementOrEnd()
      }
    }
  }

  /// Returns when an element is there or the stream ended well; throws when it failed before any element.
  func waitForElement() async throws(ServingError) {
    while true {
      if Task.isCancelled { cancel() }
      let step = state.withLock { state -> Step<Bool> in
        if !state.buffer.isEmpty { return .value(true) }
        switch state.outcome {
        case .open: return .wait
        case .cancelled: return .failure(Self.consumerGone)
        case .finished(let error?): return .failure(error)
        case .finished(nil): return .value(true)
        }
      }
      switch step {
      case .value: return
      case .failure(let error): throw error
      case .wait: await waitForElementOrEnd()
      }
    }
  }

  /// Returns when the consumer is gone, or the stream was finished, or the task is cancelled.
  func waitForClose() async {
    await suspend(
      unless: { state in
        if case .open = state.outcome { false } else { true }
      }, as: .watcher)
  }

  private func waitForRoom() async {
    await suspend(
      unless: { state in
        guard case .open = state.outcome else { return true }
        return state.buffer.count < self.capacity
      }, as: .producer)
  }

  private func waitForElementOrEnd() async {
    await suspend(
      unless: { state in
        guard case .open = state.outcome else { return true }
        return !state.buffer.isEmpty
      }, as: .consumer)
  }

  /// Parks the task as `waiter` until it is resumed from there, unless the condition holds already or the task is
  /// cancelled.
  private func suspend(
    unless ready: @Sendable (State) -> Bool,
    as waiter: Waiter
  ) async {
    await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let parked = state.withLock { state -> Bool in
          if Task.isCancelled || ready(state) { return false }
          precondition(state[waiter] == nil, "a channel has one task at each end")
          state[waiter] = continuation
          return true
        }
        if !parked { continuation.resume() }
      }
    } onCancel: {
      let parked = state.withLock { $0[waiter].take() }
      parked?.resume()
    }
  }
}
