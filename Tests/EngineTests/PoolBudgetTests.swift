import Engine
import ServingTypes
import Testing

@Suite struct PoolBudgetTests {
  private let mebibyte = 1_048_576

  private func budget(_ mebibytes: Int, utilization: Double = 0.5) -> PoolBudget {
    PoolBudget(
      budgetBytes: mebibytes * mebibyte, utilization: utilization, weightBytes: 100 * mebibyte,
      scratchBytes: 20 * mebibyte, blockBytes: mebibyte, blockSize: 16)
  }

  @Test func takesWhatIsLeftBesideWeightsAndScratch() throws {
    #expect(try budget(400).blockCount(contextLength: 8192, maxModelLen: nil, maxNumSeqs: 128) == 80)
    #expect(
      try budget(400, utilization: 1).blockCount(contextLength: 8192, maxModelLen: nil, maxNumSeqs: 128) == 280)
  }

  @Test func takesNoMoreThanSequencesCanFill() throws {
    #expect(try budget(400).blockCount(contextLength: 8192, maxModelLen: 100, maxNumSeqs: 2) == 16)
    #expect(try budget(400).blockCount(contextLength: 160, maxModelLen: nil, maxNumSeqs: 3) == 33)
    #expect(
      try budget(400).blockCount(contextLength: Int.max / 2, maxModelLen: nil, maxNumSeqs: 65_536) == 80)
  }

  @Test func aLongContextIsShortenedToTheMemory() throws {
    #expect(try budget(244).blockCount(contextLength: 131_072, maxModelLen: nil, maxNumSeqs: 128) == 2)
  }

  /// The weights are in what is used, not in what is free, and count against a container's limit.
  @Test(
    arguments: [
      (1000, nil, 900), (400, nil, 300), (107, nil, 0), (99, nil, 0), (1000, 420, 200), (1000, 220, 0), (150, 1000, 50),
    ] as [(Int, Int?, Int)])
  func swapSpaceFitsBesideThePool(free: Int, limit: Int?, expected: Int) {
    let space = budget(400).swapSpace(
      atMost: 4096 * mebibyte, beside: 100, free: free * mebibyte, limit: limit.map { $0 * mebibyte })
    #expect(space == expected * mebibyte)
    #expect(budget(400).swapSpace(atMost: 0, beside: 100, free: free * mebibyte, limit: nil) == 0)
    #expect(budget(400).swapSpace(atMost: 4096 * mebibyte, beside: 0, free: 1 << 40, limit: nil) == 4096 * mebibyte)
  }

  @Test func anExactFitIsEnough() throws {
    #expect(try budget(440).blockCount(contextLength: 8192, maxModelLen: 1600, maxNumSeqs: 1) == 100)
  }

  /// The budget that the error names must be one that works.
  @Test(arguments: [(nil, 243), (nil, 0), (1600, 439), (1601, 440), (1600, 50)] as [(Int?, Int)])
  func tooLittleSaysHowMuchIsNeeded(maxModelLen: Int?, mebibytes: Int) throws {
    let error = #expect(throws: ServingError.self) {
      try budget(mebibytes).blockCount(contextLength: 8192, maxModelLen: maxModelLen, maxNumSeqs: 4)
    }
    let message = try #require(error).message
    #expect(error?.code == .failedPrecondition)
    #expect(message.contains("memory_budget is \(mebibytes) MiB"))
    if let maxModelLen { #expect(message.contains("max_model_len \(maxModelLen) tokens")) }
    let needed = try #require(message.firstMatch(of: /needed are (\d+) MiB/).flatMap { Int($0.1) })
    #expect(needed > mebibytes)
    _ = try budget(needed).blockCount(contextLength: 8192, maxModelLen: maxModelLen, maxNumSeqs: 4)
  }

  @Test func aGivenPoolMustHoldOneSequenceToo() throws {
    try budget(0).check(blockCount: 2, holds: nil)
    try budget(0).check(blockCount: 2, holds: 32)
    let error = #expect(throws: ServingError.self) { try budget(0).check(blockCount: 2, holds: 33) }
    #expect(error?.message.contains("takes 3 blocks") == true)
  }
}
