import Glibc
import ServingTypes

/// The way into the engine's thread.
///
/// Requests are bounded by `maxQueuedRequests`; everything else by what is accepted already: a request sends each of its
/// commands a bounded number of times, and a block comes back as often as it was pinned.
final class EngineMailbox: @unchecked Sendable {  // safe: `state` is touched only while `mutex` is held
  struct Contents {
    var commands: [EngineCommand] = []
    /// Pins given back.
    var releases: [BlockID] = []
    var isEmpty: Bool { commands.isEmpty && releases.isEmpty }
  }

  private struct State {
    var contents = Contents()
    var queuedRequests = 0
    /// Questions among the commands.
    var questions = 0
    var isAdmitting = true
    var isClosed = false
  }

  private var state = State()
  private let maxQueuedRequests: Int
  private let mutex: UnsafeMutablePointer<pthread_mutex_t>
  private let condition: UnsafeMutablePointer<pthread_cond_t>

  init(maxQueuedRequests: Int) {
    self.maxQueuedRequests = maxQueuedRequests
    mutex = .allocate(capacity: 1)
    mutex.initialize(to: pthread_mutex_t())
    pthread_mutex_init(mutex, nil)
    condition = .allocate(capacity: 1)
    condition.initialize(to: pthread_cond_t())
    var attributes = pthread_condattr_t()
    pthread_condattr_init(&attributes)
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
    pthread_cond_init(condition, &attributes)
    pthread_condattr_destroy(&attributes)
  }

  deinit {
    pthread_cond_destroy(condition)
    condition.deallocate()
    pthread_mutex_destroy(mutex)
    mutex.deallocate()
  }

  private func withLock<Result>(_ body: (inout State) -> Result) -> Result {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    return body(&state)
  }

  /// Takes a place in the queue of requests and posts the request.
  func submit(_ submission: Submission) throws(ServingError) {
    let refusal: ServingError? = withLock { state in
      if state.isClosed { return Self.stopped }
      if !state.isAdmitting {
        return ServingError(.unavailable, "the worker is draining and takes no new requests", retryAfter: .seconds(1))
      }
      if state.queuedRequests >= maxQueuedRequests {
        return ServingError(
          .resourceExhausted, "the queue is full: \(maxQueuedRequests) requests are waiting", retryAfter: .seconds(1))
      }
      state.queuedRequests += 1
      state.contents.commands.append(.submit(submission))
      return nil
    }
    if let refusal { throw refusal }
    pthread_cond_signal(condition)
  }

  /// A request left the queue: it was admitted, or it ended.
  func leaveQueue() { withLock { $0.queuedRequests -= 1 } }

  func stopAdmitting() { withLock { $0.isAdmitting = false } }

  /// False once the engine has stopped; the command is dropped then.
  @discardableResult
  func post(_ command: EngineCommand) -> Bool {
    let isPosted = withLock { state in
      guard !state.isClosed else { return false }
      state.contents.commands.append(command)
      return true
    }
    if isPosted { pthread_cond_signal(condition) }
    return isPosted
  }

  /// Posts a question that belongs to no request; of those only so many may wait. False: it is dropped.
  func ask(_ question: EngineCommand) -> Bool {
    let isPosted = withLock { state in
      guard !state.isClosed, state.questions < Self.maxQuestions else { return false }
      state.questions += 1
      state.contents.commands.append(question)
      return true
    }
    if isPosted { pthread_cond_signal(condition) }
    return isPosted
  }

  private static let maxQuestions = 1024

  /// Why a question was dropped.
  var refusal: ServingError {
    withLock { $0.isClosed }
      ? Self.stopped : ServingError(.resourceExhausted, "\(Self.maxQuestions) questions wait for the engine already")
  }

  /// Gives a pin back.
  func release(_ block: BlockID) {
    withLock { state in
      if !state.isClosed { state.contents.releases.append(block) }
    }
    pthread_cond_signal(condition)
  }

  /// Takes everything that came, waiting up to `seconds` for something to come.
  func take(into contents: inout Contents, waiting seconds: Double) {
    contents.commands.removeAll(keepingCapacity: true)
    contents.releases.removeAll(keepingCapacity: true)
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    if seconds > 0, state.contents.isEmpty {
      var until = timespec()
      clock_gettime(CLOCK_MONOTONIC, &until)
      let nanoseconds = until.tv_nsec + Int((seconds - seconds.rounded(.down)) * 1e9)
      until.tv_sec += Int(seconds) + nanoseconds / 1_000_000_000
      until.tv_nsec = nanoseconds % 1_000_000_000
      while state.contents.isEmpty {
        if pthread_cond_timedwait(condition, mutex, &until) == ETIMEDOUT { break }
      }
    }
    swap(&contents, &state.contents)
    state.questions = 0
  }

  /// Refuses everything from now on, and returns what nobody will read any more.
  func close() -> Contents {
    withLock { state in
      state.isClosed = true
      let rest = state.contents
      state.contents = Contents()
      return rest
    }
  }

  static var stopped: ServingError { ServingError(.unavailable, "the engine has stopped") }
}
