import CgRPC
import Glibc
import Synchronization

/// The body of a queue's thread: reports completed operations and runs the jobs that they resume.
final class CompletionLoop: TaskExecutor, @unchecked Sendable {  // safe: jobs are touched on the loop's thread only
  let queue: OpaquePointer
  private let name: String
  private let threadID = Atomic<UInt>(0)
  private var jobs: [UnownedJob] = []
  private var due: [UnownedJob] = []

  init(name: String) {
    grpc_init()
    self.name = name
    queue = grpc_completion_queue_create_for_next(nil)
    jobs.reserveCapacity(64)
  }

  var isCurrentThread: Bool { threadID.load(ordering: .acquiring) == UInt(pthread_self()) }

  /// For a loop that never ran.
  func discard() {
    grpc_completion_queue_shutdown(queue)
    while grpc_completion_queue_next(queue, gpr_inf_future(GPR_CLOCK_MONOTONIC), nil).type != GRPC_QUEUE_SHUTDOWN {}
    grpc_completion_queue_destroy(queue)
    grpc_shutdown()
  }

  func run() {
    _ = cgrpc_name_thread(pthread_self(), String(name.prefix(15)))
    threadID.store(UInt(pthread_self()), ordering: .releasing)
    let never = gpr_inf_future(GPR_CLOCK_MONOTONIC)
    let now = gpr_inf_past(GPR_CLOCK_MONOTONIC)
    while true {
      // A job may enqueue another without end: events are looked at in between.
      let event = grpc_completion_queue_next(queue, jobs.isEmpty ? never : now, nil)
      if event.type == GRPC_QUEUE_SHUTDOWN { break }
      if event.type == GRPC_OP_COMPLETE, let tag = event.tag {
        CompletionTarget.consume(tag: tag, succeeded: event.success != 0)
      }
      runJobs()
    }
    while !jobs.isEmpty { runJobs() }
    threadID.store(0, ordering: .releasing)
    grpc_completion_queue_destroy(queue)
    grpc_shutdown()
  }

  func enqueue(_ job: consuming ExecutorJob) {
    if isCurrentThread {
      jobs.append(UnownedJob(job))
    } else {
      globalConcurrentExecutor.enqueue(job)
    }
  }

  private func runJobs() {
    guard !jobs.isEmpty else { return }
    swap(&jobs, &due)
    for job in due { job.runSynchronously(on: asUnownedTaskExecutor()) }
    due.removeAll(keepingCapacity: true)
  }
}
