import CRoofline
import Testing

/// The limits that everything else is held against.
struct RooflineTests {
  @Test(arguments: [1, 2, 4] as [UInt32])
  func readingReadsEveryByte(streams: UInt32) {
    let words = 4096
    let memory = UnsafeMutableRawPointer.allocate(byteCount: words * 8, alignment: 64)
    defer { memory.deallocate() }
    let values = memory.bindMemory(to: UInt64.self, capacity: words)
    var expected: UInt64 = 0
    for index in 0..<words {
      values[index] = UInt64(index + 1) &* 0x9E37_79B9_7F4A_7C15
      expected ^= values[index]
    }
    #expect(r_read(memory, words * 8, streams) == expected)
  }

  @Test(arguments: [R_INT8_AVX512, R_INT8_AVX2, R_BF16_AVX512, R_F32_AVX512, R_F32_AVX2, R_F32_PORTABLE])
  func operationsAreCountedOnlyWhereTheyRun(arithmetic: r_arithmetic) {
    let one = r_compute(arithmetic, 1)
    #expect((one > 0) == (r_can_run(arithmetic) != 0))
    #expect(r_compute(arithmetic, 10) == 10 * one)
  }
}
