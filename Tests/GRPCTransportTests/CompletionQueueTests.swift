import GRPCTransport
import Glibc
import ServingTypes
import Testing

/// Tasks that prefer a queue's thread.
@Suite struct CompletionQueueTests {
  private static var thread: UInt { UInt(pthread_self()) }

  /// Wherever what they waited for came from.
  @Test func tasksGoOnWhereTheyBegan() async throws {
    let queue = try CompletionQueue(name: "here")
    let other = try CompletionQueue(name: "there")
    let threads = await withTaskGroup(of: [UInt].self) { group in
      for index in 0..<200 {
        group.addTask(executorPreference: queue.executor) {
          var threads = [Self.thread]
          for round in 0..<20 {
            let arrival = Arrival<Void>()
            await withTaskGroup(of: Void.self) { inner in
              inner.addTask(
                executorPreference: (index + round).isMultiple(of: 2) ? other.executor : globalConcurrentExecutor
              ) {
                arrival.arrive(())
              }
              await arrival.value()
              threads.append(Self.thread)
            }
          }
          return threads
        }
      }
      return await group.reduce(into: Set<UInt>()) { $0.formUnion($1) }
    }
    #expect(threads.count == 1)
  }

  /// A task may outlive the queue that it prefers.
  @Test func whoOutlivesTheQueueGoesOnElsewhere() async throws {
    for _ in 0..<50 {
      let starts = Arrival<Void>()
      let ends = Arrival<Void>()
      try await withThrowingTaskGroup(of: Void.self) { group in
        do {
          let queue = try CompletionQueue(name: "short")
          group.addTask(executorPreference: queue.executor) {
            starts.arrive(())
            await ends.value()
            await Task.yield()
          }
          await starts.value()
        }
        ends.arrive(())
        try await group.waitForAll()
      }
    }
  }

  /// Whatever threads resume its tasks while it ends, each goes on, here or there: this ends.
  @Test(.timeLimit(.minutes(3))) func nobodyIsLostWhereTheQueueEnds() async throws {
    for _ in 0..<100 {
      let (queue, executor) = try Self.queue(name: "ends")
      let count = 32
      let starts = (0..<count).map { _ in Arrival<Void>() }
      let ends = (0..<count).map { _ in Arrival<Void>() }
      await withTaskGroup(of: Void.self) { group in
        for (start, end) in zip(starts, ends) {
          group.addTask(executorPreference: executor) {
            start.arrive(())
            await end.value()
          }
        }
        for start in starts { await start.value() }
        for (index, end) in ends.enumerated() {
          group.addTask(executorPreference: globalConcurrentExecutor) {
            if index == count / 2 { queue.withLock { $0 = nil } }
            end.arrive(())
          }
        }
      }
    }
  }

  /// A queue that ends when it is taken out.
  private static func queue(name: String) throws -> (Lock<CompletionQueue?>, any TaskExecutor) {
    let queue = try CompletionQueue(name: name)
    return (Lock(queue), queue.executor)
  }
}
