import CRoofline
import Glibc
import ModelRuntime
import ServingTypes

/// What the machine can do at most, measured.
struct Roofline: Encodable {
  var threads: Int
  /// Operations a second, in 10⁹; nil where the processor has no such instructions.
  var int8Avx512: Double?
  var int8Avx2: Double?
  var bf16Avx512: Double?
  var f32Avx512: Double?
  var f32Avx2: Double?
  var f32Portable: Double?
  /// Bytes read a second, in 10⁹: from memory, and from the second cache by each thread its own.
  var memoryRead: Double
  var l2Read: Double

  private enum CodingKeys: String, CodingKey {
    case threads
    case int8Avx512 = "int8_avx512_gops"
    case int8Avx2 = "int8_avx2_gops"
    case bf16Avx512 = "bf16_avx512_gflops"
    case f32Avx512 = "f32_avx512_gflops"
    case f32Avx2 = "f32_avx2_gflops"
    case f32Portable = "f32_portable_gflops"
    case memoryRead = "memory_read_gbps"
    case l2Read = "l2_read_gbps"
  }

  /// Read part by part: short samples find the moments in which nothing else runs.
  private static let memoryBytes = 768 << 20
  private static let partBytes = 32 << 20
  private static let l2Bytes = 256 << 10

  init(pool: ThreadPool) throws(ServingError) {
    threads = pool.threadCount
    int8Avx512 = Self.compute(R_INT8_AVX512, pool)
    int8Avx2 = Self.compute(R_INT8_AVX2, pool)
    bf16Avx512 = Self.compute(R_BF16_AVX512, pool)
    f32Avx512 = Self.compute(R_F32_AVX512, pool)
    f32Avx2 = Self.compute(R_F32_AVX2, pool)
    f32Portable = Self.compute(R_F32_PORTABLE, pool)
    memoryRead = try Self.readMemory(pool)
    l2Read = try Self.readCache(pool)
  }

  /// What a kernel of the path can reach at most, in 10⁹ a second; nil where it is not known.
  func limit(_ limit: KernelRow.Limit, _ path: KernelPath) -> Double? {
    switch (limit, path) {
    case (.memory, _): memoryRead
    case (.l2, _): l2Read
    case (.int8, .avx512): int8Avx512
    case (.int8, .avx2): int8Avx2
    case (.int8, .portable): nil
    case (.f32, .avx512): f32Avx512
    case (.f32, .avx2): f32Avx2
    case (.f32, .portable): f32Portable
    }
  }

  /// The better of two measurements: what else runs on the machine can only make one worse.
  mutating func improve(with other: Roofline) {
    func better(_ one: Double?, _ two: Double?) -> Double? { one.map { max($0, two ?? 0) } }
    int8Avx512 = better(int8Avx512, other.int8Avx512)
    int8Avx2 = better(int8Avx2, other.int8Avx2)
    bf16Avx512 = better(bf16Avx512, other.bf16Avx512)
    f32Avx512 = better(f32Avx512, other.f32Avx512)
    f32Avx2 = better(f32Avx2, other.f32Avx2)
    f32Portable = better(f32Portable, other.f32Portable)
    memoryRead = max(memoryRead, other.memoryRead)
    l2Read = max(l2Read, other.l2Read)
  }

  private static func compute(_ arithmetic: r_arithmetic, _ pool: ThreadPool) -> Double? {
    let rounds: UInt64 = 200_000
    let operations = r_compute(arithmetic, rounds)
    guard operations > 0 else { return nil }
    let timing = Timing.measure(seconds: 0.3) {
      pool.parallel(pool.threadCount) { _ in _ = r_compute(arithmetic, rounds) }
    }
    return Double(operations) * Double(pool.threadCount) / timing.best / 1e9
  }

  /// The best of reading in one, two and four streams for each thread, a part of the memory after the other.
  private static func readMemory(_ pool: ThreadPool) throws(ServingError) -> Double {
    let part = partBytes / pool.threadCount / 4096 * 4096
    let stride = part * pool.threadCount
    let parts = memoryBytes / stride
    let memory = try BenchmarkMemory(parts * stride)
    r_prefer_large_pages(memory.base, memory.count)
    memset(memory.base, 1, memory.count)
    var best = Double.infinity
    var turn = 0
    for streams: UInt32 in [1, 2, 4] {
      let timing = Timing.measure(seconds: 0.4) {
        let start = memory.base + turn * stride
        turn = turn + 1 == parts ? 0 : turn + 1
        pool.parallel(pool.threadCount) { _ = r_read(start + $0 * part, part, streams) }
      }
      best = min(best, timing.best)
    }
    return Double(stride) / best / 1e9
  }

  private static func readCache(_ pool: ThreadPool) throws(ServingError) -> Double {
    let memory = try BenchmarkMemory(l2Bytes * pool.threadCount)
    memset(memory.base, 1, memory.count)
    let passes = 200
    let timing = Timing.measure(seconds: 0.3) {
      pool.parallel(pool.threadCount) { thread in
        for _ in 0..<passes { _ = r_read(memory.base + thread * l2Bytes, l2Bytes, 1) }
      }
    }
    return Double(memory.count * passes) / timing.best / 1e9
  }

  var lines: [String] {
    func line(_ name: String, _ value: Double?, _ unit: String) -> String {
      name.padded(to: 44) + (value.map { $0.text(10, 1) + " " + unit } ?? "         – (not on this processor)")
    }
    return [
      line("int8, vpdpbusd, 512 bits", int8Avx512, "GOPS"),
      line("int8, vpmaddubsw + vpmaddwd, 256 bits", int8Avx2, "GOPS"),
      line("bf16, vdpbf16ps, 512 bits", bf16Avx512, "GFLOPS"),
      line("f32, fused multiply-add, 512 bits", f32Avx512, "GFLOPS"),
      line("f32, fused multiply-add, 256 bits", f32Avx2, "GFLOPS"),
      line("f32, plain C", f32Portable, "GFLOPS"),
      line("memory, read \(Self.memoryBytes >> 20) MiB", memoryRead, "GB/s"),
      line("second cache, read \(Self.l2Bytes >> 10) KiB by each thread", l2Read, "GB/s"),
    ]
  }
}
