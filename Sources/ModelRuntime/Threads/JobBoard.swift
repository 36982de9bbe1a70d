import CKernels
import Glibc
import Synchronization

/// The job that a pool's threads work on, and where they wait for the next.
///
/// One word holds the job's generation, its number of tasks and the next task, so that a thread that wakes up late can never
/// take a task of a job that has ended: its exchange fails.
final class JobBoard: @unchecked Sendable {  // safe: `task` and `job` change only while no task is claimed or claimable
  static let countBits: UInt64 = 20
  static let countMask: UInt64 = (1 << countBits) - 1
  /// Some tens of microseconds.
  private static let spinLimit = 2_000

  /// Generation (24 bits), number of tasks (20), next task (20).
  private let state = Atomic<UInt64>(0)
  private let unfinished = Atomic<Int>(0)
  private let sleepers = Atomic<Int>(0)
  private let callerSleeps = Atomic<Bool>(false)
  private let closed = Atomic<Bool>(false)
  private var task: k_task?
  private var job: UnsafeRawPointer?
  private let mutex: UnsafeMutablePointer<pthread_mutex_t>
  private let published: UnsafeMutablePointer<pthread_cond_t>
  private let finished: UnsafeMutablePointer<pthread_cond_t>

  init() {
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
  }

  /// Publishes the job, takes part in it and returns when its last task has returned.
  func run(_ count: Int, _ task: k_task, _ job: UnsafeRawPointer) {
    self.task = task
    self.job = job
    unfinished.store(count, ordering: .relaxed)
    let generation = (state.load(ordering: .relaxed) >> (2 * Self.countBits)) &+ 1
    state.store(generation << (2 * Self.countBits) | UInt64(count) << Self.countBits, ordering: .sequentiallyConsistent)
    if sleepers.load(ordering: .sequentiallyConsistent) > 0 {
      pthread_mutex_lock(mutex)
      pthread_cond_broadcast(published)
      pthread_mutex_unlock(mutex)
    }
    while claimAndRun() {}
    for _ in 0..<Self.spinLimit {
      if unfinished.load(ordering: .acquiring) == 0 { return }
      k_spin_pause()
    }
    pthread_mutex_lock(mutex)
    callerSleeps.store(true, ordering: .sequentiallyConsistent)
    while unfinished.load(ordering: .sequentiallyConsistent) > 0 { pthread_cond_wait(finished, mutex) }
    callerSleeps.store(false, ordering: .relaxed)
    pthread_mutex_unlock(mutex)
  }

  /// A pool thread's life: until `close`.
  func work() {
    var spins = 0
    while !closed.load(ordering: .acquiring) {
      if claimAndRun() {
        spins = 0
      } else if spins < Self.spinLimit {
        spins += 1
        k_spin_pause()
      } else {
        sleep()
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

  private func sleep() {
    pthread_mutex_lock(mutex)
    sleepers.add(1, ordering: .sequentiallyConsistent)
    while !hasTask(state.load(ordering: .sequentiallyConsistent)), !closed.load(ordering: .acquiring) {
      pthread_cond_wait(published, mutex)
    }
    sleepers.subtract(1, ordering: .sequentiallyConsistent)
    pthread_mutex_unlock(mutex)
  }

  private func hasTask(_ word: UInt64) -> Bool {
    word & Self.countMask < (word >> Self.countBits) & Self.countMask
  }

  /// Runs one task; false when there is none.
  private func claimAndRun() -> Bool {
    var word = state.load(ordering: .acquiring)
    while hasTask(word) {
      let (exchanged, original) = state.compareExchange(
        expected: word, desired: word + 1, ordering: .acquiringAndReleasing)
      if exchanged {
        task?(job, Int(word & Self.countMask))
        if unfinished.subtract(1, ordering: .sequentiallyConsistent).newValue == 0,
          callerSleeps.load(ordering: .sequentiallyConsistent)
        {
          pthread_mutex_lock(mutex)
          pthread_cond_signal(finished)
          pthread_mutex_unlock(mutex)
        }
        return true
      }
      word = original
    }
    return false
  }
}
