import ModelRuntime

/// What the command line asks for.
struct BenchmarkOptions {
  enum Work: String, CaseIterable {
    case roofline
    case kernels
  }

  struct Mistake: Error {
    var message: String
  }

  static let usage = """
    usage: kernel-bench roofline [--threads n] [--json]
           kernel-bench kernels [--threads n] [--path avx512|avx2|portable] [--filter text] [--json]

      roofline   what this machine can do: arithmetic from registers, reading of memory
      kernels    every kernel alone, beside that

      --threads n     threads of the pool (2)
      --path name     the kernels' instructions (the fastest that this processor has)
      --filter text   only rows whose name holds the text
      --json          one JSON object in place of a table
    """

  var work: Work
  var threads = 2
  var path = KernelPath.best
  var filter = ""
  var json = false

  init(_ arguments: some Sequence<String>) throws(Mistake) {
    var words = arguments.makeIterator()
    guard let name = words.next(), let work = Work(rawValue: name) else {
      throw Mistake(message: "name what to measure: roofline or kernels")
    }
    self.work = work
    while let word = words.next() {
      switch word {
      case "--json": json = true
      case "--threads":
        guard let value = words.next().flatMap({ Int($0) }), (1...ThreadPool.largestThreadCount).contains(value) else {
          throw Mistake(message: "--threads wants a number from 1 to \(ThreadPool.largestThreadCount)")
        }
        threads = value
      case "--path" where work == .kernels:
        guard let value = words.next().flatMap({ KernelPath(rawValue: $0) }) else {
          throw Mistake(message: "--path wants avx512, avx2 or portable")
        }
        guard value.isSupported else { throw Mistake(message: "this processor cannot run \(value.rawValue)") }
        path = value
      case "--filter" where work == .kernels:
        guard let value = words.next() else { throw Mistake(message: "--filter wants a text") }
        filter = value
      default: throw Mistake(message: "\(work.rawValue) has no option \(word)")
      }
    }
  }
}
