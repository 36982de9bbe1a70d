import CKernels
import Glibc
import ServingTypes
import Synchronization

/// A fixed set of threads that run the tasks of one job at a time; the caller takes part.
///
/// Idle threads spin for some microseconds, long enough to bridge the gaps within a layer, and then sleep, so that other
/// processes get the cores. `parallel` may be called by one thread at a time.
public final class ThreadPool: Sendable {
  /// The caller and the pool's own threads.
  public let threadCount: Int
  private let jobs: JobBoard
  private let threads: [pthread_t]

  public static let largestThreadCount = 256
  /// Tasks that one job may have.
  public static let largestTaskCount = JobBoard.largestTaskCount

  /// Starts `threadCount` − 1 threads.
  public init(threadCount: Int) throws(ServingError) {
    guard (1...Self.largestThreadCount).contains(threadCount) else {
      throw ServingError(
        .invalidArgument, "\(threadCount) threads: between 1 and \(Self.largestThreadCount) are possible")
    }
    self.threadCount = threadCount
    let jobs = JobBoard(laneCount: threadCount)
    self.jobs = jobs
    var threads: [pthread_t] = []
    for lane in 1..<threadCount {
      var thread = pthread_t()
      let context = Unmanaged.passRetained(JobWorker(board: jobs, lane: lane))
      let status = pthread_create(
        &thread, nil,
        { context in
          guard let context else { return nil }
          let worker = Unmanaged<JobWorker>.fromOpaque(context).takeRetainedValue()
          worker.board.work(lane: worker.lane)
          return nil
        }, context.toOpaque())
      guard status == 0 else {
        context.release()
        Self.stop(threads, jobs)
        throw ServingError(.resourceExhausted, "cannot start a kernel thread: errno \(status)")
      }
      threads.append(thread)
    }
    self.threads = threads
  }

  deinit { Self.stop(threads, jobs) }

  private static func stop(_ threads: [pthread_t], _ jobs: JobBoard) {
    jobs.close()
    for thread in threads { pthread_join(thread, nil) }
  }

  /// Calls `body` once for each index below `count`, from several threads, and returns when all have returned.
  public func parallel(_ count: Int, _ body: (Int) -> Void) {
    withoutActuallyEscaping(body) { escapable in
      var escapable = escapable
      withUnsafePointer(to: &escapable) { pointer in
        run(count, { $0?.assumingMemoryBound(to: ((Int) -> Void).self).pointee($1) }, UnsafeRawPointer(pointer))
      }
    }
  }

  /// The same for a task written in C. Allocates nothing; a single task runs on the caller at once.
  func run(_ count: Int, _ task: k_task, _ job: UnsafeRawPointer) {
    precondition(count <= Self.largestTaskCount, "too many tasks for one job")
    if count <= 1 || threads.isEmpty {
      for index in 0..<max(count, 0) { task(job, index) }
    } else {
      jobs.run(count, task, job)
    }
  }
}
