import ModelRuntime
import ServingTypes
import Synchronization
import Testing

struct ThreadPoolTests {
  @Test(arguments: [1, 2, 3, 8])
  func runsEachTaskOnce(threads: Int) throws {
    let pool = try ThreadPool(threadCount: threads)
    // Jobs of changing sizes in quick succession, and pauses long enough for threads to fall asleep in between.
    for round in 0..<2_000 {
      let count = [0, 1, 2, 7, 64, 300][round % 6]
      let sum = Atomic<Int>(0)
      let calls = Atomic<Int>(0)
      pool.parallel(count) { index in
        sum.add(index + 1, ordering: .relaxed)
        calls.add(1, ordering: .relaxed)
      }
      #expect(calls.load(ordering: .relaxed) == count)
      #expect(sum.load(ordering: .relaxed) == count * (count + 1) / 2)
      if round % 500 == 0 {
        var sink = 0
        for value in 0..<2_000_000 { sink &+= value ^ round }
        #expect(sink != 1)
      }
    }
  }

  @Test func severalPoolsSideBySide() throws {
    let pools = try (0..<4).map { _ in try ThreadPool(threadCount: 3) }
    for _ in 0..<200 {
      for pool in pools {
        let calls = Atomic<Int>(0)
        pool.parallel(17) { _ in calls.add(1, ordering: .relaxed) }
        #expect(calls.load(ordering: .relaxed) == 17)
      }
    }
  }

  /// As many tasks as a lane can count, in jobs that follow each other at once.
  @Test func theLargestJob() throws {
    let pool = try ThreadPool(threadCount: 3)
    let count = ThreadPool.largestTaskCount
    let marks = UnsafeMutablePointer<UInt8>.allocate(capacity: count)
    defer { marks.deallocate() }
    marks.initialize(repeating: 0, count: count)
    for _ in 0..<3 { pool.parallel(count) { marks[$0] += 1 } }
    #expect((0..<count).allSatisfy { marks[$0] == 3 })
  }

  @Test func impossibleSizesAreRefused() {
    #expect(throws: ServingError.self) { try ThreadPool(threadCount: 0) }
    #expect(throws: ServingError.self) { try ThreadPool(threadCount: 10_000) }
  }
}
