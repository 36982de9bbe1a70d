import ServingTypes

/// What waits for a `PromptThreads`; its threads hold on to it, so that they may outlive that for a moment.
final class PromptThreadQueue: Sendable {
  private struct Entry {
    let job: UnownedJob
    let executor: UnownedTaskExecutor
  }

  private struct State {
    var entries: [Entry] = []
    var threads = 0
    var isClosed = false
  }

  private let state = SignalledLock(State())

  /// A thread that could not be had is done without.
  func startThread() {
    state.withLock { $0.threads += 1 }
    if !DetachedThread.start({ self.work() }) { state.withLock { $0.threads -= 1 } }
  }

  func close() { state.withLock { $0.isClosed = true } }

  /// False when there is no thread.
  func append(_ job: UnownedJob, for executor: UnownedTaskExecutor) -> Bool {
    state.withLock { state in
      guard state.threads > 0 else { return false }
      state.entries.append(Entry(job: job, executor: executor))
      return true
    }
  }

  private func work() {
    while let entry = next() { entry.job.runSynchronously(on: entry.executor) }
  }

  /// Nil when it is closed.
  private func next() -> Entry? {
    let entry: Entry?? = state.wait(timeout: nil) { state in
      if !state.entries.isEmpty { return .some(state.entries.removeFirst()) }
      return state.isClosed ? .some(nil) : nil
    }
    return entry ?? nil
  }
}
