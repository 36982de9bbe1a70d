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
}
