import Scheduling
import ServingTestKit
import Testing

/// The contiguous cache that paging is compared with.
@Suite struct ReservationTests {
  private func simulation(_ reservation: BlockReservation) -> StepSimulation {
    StepSimulation(
      SchedulerConfiguration(maxQueueWait: .seconds(1_000_000), reservation: reservation), blocks: 4 * 64)
  }

  @Test(arguments: 0..<8) func everySequenceHoldsOneContiguousPiece(seed: Int) throws {
    var simulation = simulation(.longestContext(tokens: 1024))
    var random = SplitMix64(seed: UInt64(seed))
    for _ in 0..<40 { simulation.add(prompt: 1 + Int(random.next() % 300), output: 1 + Int(random.next() % 200)) }
    var most = 0
    while !simulation.isIdle {
      try simulation.step()
      try simulation.scheduler.checkIntegrity(pins: 0)
      for sequence in simulation.scheduler.running {
        let blocks = sequence.table.blocks
        #expect(blocks.count == 64)
        #expect(zip(blocks, blocks.dropFirst()).allSatisfy { $1 == $0 + 1 })
      }
      most = max(most, simulation.scheduler.running.count)
    }
    #expect(most == 4)
    #expect(simulation.ends.count == 40 && simulation.scheduler.preemptionCount == 0)
    #expect(simulation.scheduler.pool.freeCount == 4 * 64)
  }

  @Test func pagesHoldMoreAtOnce() throws {
    var counts: [Int] = []
    for reservation in [BlockReservation.longestContext(tokens: 1024), .asNeeded] {
      var simulation = simulation(reservation)
      for _ in 0..<40 { simulation.add(prompt: 100, output: 50) }
      var most = 0
      while !simulation.isIdle {
        try simulation.step()
        most = max(most, simulation.scheduler.running.count)
      }
      counts.append(most)
    }
    #expect(counts[0] == 4 && counts[1] > 3 * counts[0], "\(counts)")
  }

  /// What runs has room to grow: a preempted sequence computes everything again.
  @Test(arguments: [8, 16, 64]) func aFullPoolPreemptsFew(blockSize: Int) throws {
    var simulation = StepSimulation(
      SchedulerConfiguration(blockSize: blockSize, maxQueueWait: .seconds(1_000_000)), blocks: 4096 / blockSize)
    var random = SplitMix64(seed: 1)
    for _ in 0..<100 { simulation.add(prompt: 4 + Int(random.next() % 160), output: 20 + Int(random.next() % 280)) }
    var most = 0
    while !simulation.isIdle {
      try simulation.step()
      most = max(most, simulation.scheduler.running.count)
    }
    #expect(simulation.scheduler.preemptionCount <= 15, "\(simulation.scheduler.preemptionCount)")
    // And the pool is full all the same: 16 of them fit at their full lengths.
    #expect(most >= 16, "\(most)")
  }

  /// A prompt beyond the reservation is not cut.
  @Test func moreThanTheReservationIsHeldAsWell() throws {
    var simulation = simulation(.longestContext(tokens: 64))
    let group = simulation.add(prompt: 100, output: 5)
    try simulation.step()
    #expect(group.leader.table.count == 7)
  }
}
