import Foundation
import ModelRuntime
import ServingTypes

/// `kernel-bench`: the machine's limits, and each kernel beside them.
@main
struct Entry {
  private struct Results: Encodable {
    var roofline: Roofline
    var path: String
    var notes: [String]
    var rows: [KernelRow]
  }

  private static let notes = [
    "Best and median of repeated calls; rates are those of the best.",
    "Weights, keys and values are read from memory: each call takes another of the copies that fill "
      + "\(PackedCopies.coldBytes >> 20) MiB. Rows of the other kernels stay in the second cache.",
    "GB/s counts weights (or keys and values) once a call; GOPS two operations a product. The share is that of the "
      + "nearer limit.",
  ]

  static func main() {
    do {
      let options = try BenchmarkOptions(CommandLine.arguments.dropFirst())
      try run(options)
    } catch let mistake as BenchmarkOptions.Mistake {
      complain("kernel-bench: \(mistake.message)\n\n\(BenchmarkOptions.usage)")
      exit(64)
    } catch {
      complain("kernel-bench: \(error)")
      exit(1)
    }
  }

  private static func run(_ options: BenchmarkOptions) throws {
    let pool = try ThreadPool(threadCount: options.threads)
    var roofline = try Roofline(pool: pool)
    guard options.work == .kernels else {
      if options.json { return try write(roofline) }
      return print("\(options.threads) threads\n" + roofline.lines.joined(separator: "\n"))
    }
    var measured: [KernelRow] = []
    try KernelBenchmark(options, pool: pool) { measured.append($0) }.run()
    roofline.improve(with: try Roofline(pool: pool))
    let rows = measured.map { $0.compared(with: roofline, path: options.path) }
    if options.json {
      return try write(Results(roofline: roofline, path: options.path.rawValue, notes: notes, rows: rows))
    }
    print("\(options.threads) threads, \(options.path.rawValue)\n" + roofline.lines.joined(separator: "\n"))
    print("\n" + notes.joined(separator: "\n") + "\n\n" + KernelRow.heading)
    for row in rows { print(row.line) }
  }

  private static func write(_ value: some Encodable) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    print(String(decoding: try encoder.encode(value), as: UTF8.self))
  }

  private static func complain(_ text: String) {
    FileHandle.standardError.write(Data((text + "\n").utf8))
  }
}
