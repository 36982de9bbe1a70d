import ServingTypes

/// The threads on which prompts are tokenised and hashed, so that a long one never holds a thread of the cooperative pool.
///
/// What waits is bounded by the tasks that call `run`, one job each: the router admits only so many requests.
package final class PromptThreads: TaskExecutor {
  private let queue = PromptThreadQueue()

  /// - Parameter count: at least 1.
  package init(count: Int) {
    for _ in 0..<count { queue.startThread() }
  }

  deinit { queue.close() }

  /// Runs `body` on one of the threads, in the order of the calls.
  package func run<Result: Sendable, Failure>(
    _ body: @Sendable () throws(Failure) -> Result
  ) async throws(Failure) -> Result {
    try await withTaskExecutorPreference(self) { () async throws(Failure) -> Result in try body() }
  }

  package func enqueue(_ job: consuming ExecutorJob) {
    let job = UnownedJob(job)
    // Without a thread the work is better done slowly than never.
    if !queue.append(job, for: asUnownedTaskExecutor()) {
      job.runSynchronously(on: asUnownedTaskExecutor())
    }
  }
}
