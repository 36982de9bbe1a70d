import CKernels
import ModelRuntime
import ServingTypes

/// Measures each kernel alone, at the sizes of real models.
struct KernelBenchmark {
  let path: KernelPath
  let kernels: UnsafePointer<k_kernels>
  let pool: ThreadPool
  private let filter: String
  private let report: (KernelRow) -> Void

  init(
    _ options: BenchmarkOptions, pool: ThreadPool, report: @escaping (KernelRow) -> Void
  ) throws(ServingError) {
    guard let kernels = options.path.kernels else {
      throw ServingError(.unimplemented, "this processor cannot run \(options.path.rawValue)")
    }
    path = options.path
    self.kernels = kernels
    self.pool = pool
    filter = options.filter
    self.report = report
  }

  func run() throws(ServingError) {
    try products()
    try attention()
    try elementwise()
  }

  func wants(_ name: String) -> Bool { filter.isEmpty || name.contains(filter) }

  func add(_ row: KernelRow) { report(row) }

  /// Runs a job of `count` tasks on all threads.
  func run<Job>(_ count: Int, _ job: Job, _ task: (UnsafeRawPointer, Int) -> Void) {
    withUnsafePointer(to: job) { pointer in
      let raw = UnsafeRawPointer(pointer)
      pool.parallel(count) { task(raw, $0) }
    }
  }
}
