import Glibc
import ServingTypes

/// Mapped memory, committed as it is written.
final class BenchmarkMemory {
  let base: UnsafeMutableRawPointer
  let count: Int

  init(_ count: Int) throws(ServingError) {
    let mapped = mmap(nil, count, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
    guard let mapped, mapped != MAP_FAILED else {
      throw ServingError(.resourceExhausted, "cannot map \(count) bytes: errno \(errno)")
    }
    base = mapped
    self.count = count
  }

  deinit { munmap(base, count) }

  func floats(_ count: Int) -> UnsafeMutablePointer<Float> {
    base.bindMemory(to: Float.self, capacity: count)
  }

  /// Memory of `count` floats in −1 … 1.
  static func floats(_ count: Int, seed: UInt64) throws(ServingError) -> BenchmarkMemory {
    let memory = try BenchmarkMemory(count * 4)
    var noise = Noise(seed: seed)
    let values = memory.floats(count)
    for index in 0..<count { values[index] = noise.unit() }
    return memory
  }
}
