import CgRPC
import Glibc
import ServingTypes
import Synchronization

/// The body of a queue's thread: reports completed operations and runs the jobs that they resume.
final class CompletionLoop: TaskExecutor, @unchecked Sendable {  // safe: jobs are touched on the loop's thread only
  /// What other threads have for this one.
  private struct Inbox {
    var jobs: [UnownedJob] = []
    /// Whether an event that tells of them is under way.
    var isTold = false
    var isClosed = false
  }

  let queue: OpaquePointer
  private let inbox = Lock(Inbox())
  private let bell: CompletionBell
  private let name: String
  private let threadID = Atomic<UInt>(0)
  private var jobs: [UnownedJob] = []
  private var due: [UnownedJob] = []
  /// Whether the thread waits in the library, which may call us there.
  private var isWaiting = false

  init(name: String) {
    grpc_init()
    self.name = name
    queue = grpc_completion_queue_create_for_next(nil)
    bell = CompletionBell(queue: queue)
    jobs.reserveCapacity(64)
  }

  var isCurrentThread: Bool { threadID.load(ordering: .acquiring) == UInt(pthread_self()) }

  /// Ends the loop when the queue's events are over. What other threads have for it from now on runs elsewhere.
  func close() {
    inbox.withLock { inbox in
      inbox.isClosed = true
      // Inside the lock: nobody may ring any more.
      grpc_completion_queue_shutdown(queue)
    }
  }

  /// For a loop that never ran.
  func discard() {
    close()
    while grpc_completion_queue_next(queue, gpr_inf_future(GPR_CLOCK_MONOTONIC), nil).type != GRPC_QUEUE_SHUTDOWN {}
    bell.discard()
    grpc_completion_queue_destroy(queue)
    grpc_shutdown()
  }

  func run() {
    _ = cgrpc_name_thread(pthread_self(), String(name.prefix(15)))
    threadID.store(UInt(pthread_self()), ordering: .releasing)
    let never = gpr_inf_future(GPR_CLOCK_MONOTONIC)
    let now = gpr_inf_past(GPR_CLOCK_MONOTONIC)
    while true {
      isWaiting = true
      let event = grpc_completion_queue_next(queue, jobs.isEmpty ? never : now, nil)
      isWaiting = false
      if event.type == GRPC_QUEUE_SHUTDOWN { break }
      if event.type == GRPC_OP_COMPLETE {
        if let tag = event.tag {
          CompletionTarget.consume(tag: tag, succeeded: event.success != 0)
        } else {
          takeInbox()
        }
      }
      runJobs()
    }
    // What these jobs enqueue goes elsewhere: nobody waits here for whatever they wait for.
    takeInbox()
    threadID.store(0, ordering: .releasing)
    runJobs()
    bell.discard()
    grpc_completion_queue_destroy(queue)
    grpc_shutdown()
  }

  func enqueue(_ job: consuming ExecutorJob) {
    if isCurrentThread, !isWaiting { return jobs.append(UnownedJob(job)) }
    let unowned = UnownedJob(job)
    let isTaken = inbox.withLock { inbox in
      guard !inbox.isClosed, inbox.isTold || bell.ring() else { return false }
      inbox.isTold = true
      inbox.jobs.append(unowned)
      return true
    }
    if !isTaken { globalConcurrentExecutor.enqueue(unowned) }
  }

  private func takeInbox() {
    jobs += inbox.withLock { inbox in
      defer { (inbox.jobs, inbox.isTold) = ([], false) }
      return inbox.jobs
    }
  }

  /// How often what jobs enqueue is run before events are looked at, which takes a call of the kernel. Jobs may enqueue others
  /// without end.
  private static let turns = 16

  private func runJobs() {
    for _ in 0..<Self.turns {
      guard !jobs.isEmpty else { return }
      swap(&jobs, &due)
      for job in due { job.runSynchronously(on: asUnownedTaskExecutor()) }
      due.removeAll(keepingCapacity: true)
    }
  }
}
