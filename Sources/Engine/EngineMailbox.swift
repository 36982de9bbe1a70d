import ServingTypes

/// The way into the engine's thread.
///
/// Requests are bounded by `maxQueuedRequests`; everything else by what is accepted already: a request sends each of its
/// commands a bounded number of times, and a block comes back as often as it was pinned.
final class EngineMailbox: Sendable {
  struct Contents {
    var commands: [EngineCommand] = []
    /// Pins given back.
    var releases: [BlockID] = []
    /// Copies between tiers that got on.
    var reports: [TierReport] = []
    var isEmpty: Bool { commands.isEmpty && releases.isEmpty && reports.isEmpty }
  }

  private struct State {
    var contents = Contents()
    var queuedRequests = 0
    var turnover = QueueTurnover()
    /// Questions among the commands.
    var questions = 0
    var isAdmitting = true
    var isClosed = false
  }

  private let state = SignalledLock(State())
  private let maxQueuedRequests: Int

  init(maxQueuedRequests: Int) { self.maxQueuedRequests = maxQueuedRequests }

  /// Takes a place in the queue of requests and posts the request.
  func submit(_ submission: Submission) throws(ServingError) {
    let refusal: ServingError? = state.withLock { state in
      if state.isClosed { return Self.stopped }
      if !state.isAdmitting {
        return ServingError(.unavailable, "the worker is draining and takes no new requests", retryAfter: .seconds(1))
      }
      if state.queuedRequests >= maxQueuedRequests {
        return ServingError(
          .resourceExhausted, "the queue is full: \(maxQueuedRequests) requests are waiting",
          retryAfter: state.turnover.hint(queued: state.queuedRequests))
      }
      state.queuedRequests += 1
      state.contents.commands.append(.submit(submission))
      return nil
    }
    if let refusal { throw refusal }
  }

  /// A request left the queue: it was admitted, or it ended.
  func leaveQueue(at now: ContinuousClock.Instant) {
    state.withLock { state in
      state.turnover.leave(at: now, queued: state.queuedRequests)
      state.queuedRequests -= 1
    }
  }

  func stopAdmitting() { state.withLock { $0.isAdmitting = false } }

  /// False once the engine has stopped; the command is dropped then.
  @discardableResult
  func post(_ command: EngineCommand) -> Bool {
    state.withLock { state in
      guard !state.isClosed else { return false }
      state.contents.commands.append(command)
      return true
    }
  }

  /// Posts a question that belongs to no request; of those only so many may wait. False: it is dropped.
  func ask(_ question: EngineCommand) -> Bool {
    state.withLock { state in
      guard !state.isClosed, state.questions < Self.maxQuestions else { return false }
      state.questions += 1
      state.contents.commands.append(question)
      return true
    }
  }

  private static let maxQuestions = 1024

  /// Why a question was dropped.
  var refusal: ServingError {
    state.read { $0.isClosed }
      ? Self.stopped
      : ServingError(
        .resourceExhausted, "\(Self.maxQuestions) questions wait for the engine already", retryAfter: .seconds(1))
  }

  /// Gives a pin back.
  func release(_ block: BlockID) {
    state.withLock { state in
      if !state.isClosed { state.contents.releases.append(block) }
    }
  }

  /// A copy between tiers got on.
  func report(_ report: TierReport) {
    state.withLock { state in
      if !state.isClosed { state.contents.reports.append(report) }
    }
  }

  var hasMail: Bool { state.read { !$0.contents.isEmpty } }

  /// Takes everything that came, waiting up to `seconds` for something to come.
  func take(into contents: inout Contents, waiting seconds: Double) {
    contents.commands.removeAll(keepingCapacity: true)
    contents.releases.removeAll(keepingCapacity: true)
    contents.reports.removeAll(keepingCapacity: true)
    if seconds > 0 { _ = state.wait(timeout: .seconds(seconds)) { $0.contents.isEmpty ? nil : true } }
    state.withLock { state in
      swap(&contents, &state.contents)
      state.questions = 0
    }
  }

  /// Refuses everything from now on, and returns what nobody will read any more.
  func close() -> Contents {
    state.withLock { state in
      state.isClosed = true
      let rest = state.contents
      state.contents = Contents()
      return rest
    }
  }

  static var stopped: ServingError {
    ServingError(.unavailable, "the engine has stopped", retryAfter: .seconds(1))
  }
}
