import CKernels
import Glibc
import Synchronization

/// The job that a pool's threads work on, and where they wait for the next.
///
/// Each thread has a lane of tasks of its own, so that threads do not fight for one cache line at each task, and takes
/// from the others' lanes when its own is empty. A lane is one word, its tasks and the job's generation: a thread that
/// wakes up late can never take a task of a job that has ended, because its exchange fails.
final class JobBoard: @unchecked Sendable {  // safe: `task` and `job` change only while no task is claimed or claimable
  /// Tasks that one job may have.
  static let largestTaskCount = Int(JobLane.countMask)
  /// Some tens of microseconds.
  private static let spinLimit = 2_000

  private let laneCount: Int
  private let lanes: UnsafeMutablePointer<JobLane>
  /// Changes when a job is published; on a cache line of its own, because idle threads watch it.
  private let generation: UnsafeMutablePointer<PaddedCounter>
  private let unfinished: UnsafeMutablePointer<PaddedCounter>
  private let sleepers = Atomic<Int>(0)
  private let callerSleeps = Atomic<Bool>(false)
  private let closed = Atomic<Bool>(false)
  private var task: k_task?
  private var job: UnsafeRawPointer?
  private let mutex: UnsafeMutablePointer<pthread_mutex_t>
  private let published: UnsafeMutablePointer<pthread_cond_t>
  private let finished: UnsafeMutablePointer<pthread_cond_t>

  init(laneCount: Int) {
    self.laneCount = laneCount
    lanes = .allocate(capacity: laneCount)
    for lane in 0..<laneCount { (lanes + lane).initialize(to: JobLane()) }
    generation = .allocate(capacity: 1)
    generation.initialize(to: PaddedCounter())
    unfinished = .allocate(capacity: 1)
    unfinished.initialize(to: PaddedCounter())
    mutex = .allocate(capacity: 1)
    published = .allocate(capacity: 1)
    finished = .allocate(capacity: 1)
    mutex.initialize(to: pthread_mutex_t())
    published.initialize(to: pthread_cond_t())
    finished.initialize(to: pthread_cond_t())
    pthread_mutex_init(mutex, nil)
    pthread_cond_init(published, nil)
    pthread_cond_init(finished, nil)
  }

  deinit {
    pthread_cond_destroy(finished)
    pthread_cond_destroy(published)
    pthread_mutex_destroy(mutex)
    finished.deallocate()
    published.deallocate()
    mutex.deallocate()
    unfinished.deinitialize(count: 1).deallocate()
    generation.deinitialize(count: 1).deallocate()
    lanes.deinitialize(count: laneCount).deallocate()
  }

  /// Publishes the job, takes part in it on lane 0 and returns when its last task has returned.
  func run(_ count: Int, _ task: k_task, _ job: UnsafeRawPointer) {
    self.task = task
    self.job = job
    unfinished.pointee.value.store(count, ordering: .relaxed)
    let next = generation.pointee.value.load(ordering: .relaxed) &+ 1
    for lane in 0..<laneCount {
      lanes[lane].publish(generation: next, count: (count - lane + laneCount - 1) / laneCount)
    }
    generation.pointee.value.store(next, ordering: .sequentiallyConsistent)
    if sleepers.load(ordering: .sequentiallyConsistent) > 0 {
      pthread_mutex_lock(mutex)
      pthread_cond_broadcast(published)
      pthread_mutex_unlock(mutex)
    }
    takePart(lane: 0)
    for _ in 0..<Self.spinLimit {
      if unfinished.pointee.value.load(ordering: .acquiring) == 0 { return }
      k_spin_pause()
    }
    pthread_mutex_lock(mutex)
    callerSleeps.store(true, ordering: .sequentiallyConsistent)
    while unfinished.pointee.value.load(ordering: .sequentiallyConsistent) > 0 { pthread_cond_wait(finished, mutex) }
    callerSleeps.store(false, ordering: .relaxed)
    pthread_mutex_unlock(mutex)
  }

  /// The life of the pool thread of `lane`: until `close`.
  func work(lane: Int) {
    var seen = 0
    var spins = 0
    while !closed.load(ordering: .acquiring) {
      let current = generation.pointee.value.load(ordering: .acquiring)
      if current != seen {
        seen = current
        spins = 0
        takePart(lane: lane)
      } else if spins < Self.spinLimit {
        spins += 1
        k_spin_pause()
      } else {
        sleep(seen)
        spins = 0
      }
    }
  }

  func close() {
    closed.store(true, ordering: .releasing)
    pthread_mutex_lock(mutex)
    pthread_cond_broadcast(published)
    pthread_mutex_unlock(mutex)
  }

  private func sleep(_ seen: Int) {
    pthread_mutex_lock(mutex)
    sleepers.add(1, ordering: .sequentiallyConsistent)
    while generation.pointee.value.load(ordering: .sequentiallyConsistent) == seen, !closed.load(ordering: .acquiring) {
      pthread_cond_wait(published, mutex)
    }
    sleepers.subtract(1, ordering: .sequentiallyConsistent)
    pthread_mutex_unlock(mutex)
  }

  /// Runs tasks of the thread's own lane, then what the other lanes have left.
  private func takePart(lane own: Int) {
    var done = 0
    for offset in 0..<laneCount {
      let lane = own + offset < laneCount ? own + offset : own + offset - laneCount
      while let index = lanes[lane].claim() {
        task?(job, index * laneCount + lane)
        done += 1
      }
    }
    guard done > 0 else { return }
    let left = unfinished.pointee.value.subtract(done, ordering: .sequentiallyConsistent).newValue
    if left == 0, callerSleeps.load(ordering: .sequentiallyConsistent) {
      pthread_mutex_lock(mutex)
      pthread_cond_signal(finished)
      pthread_mutex_unlock(mutex)
    }
  }
}
