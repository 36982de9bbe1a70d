import Engine
import ServingTypes

/// Looks at an engine now and then while a load runs.
final class LoadGauge: Sendable {
  private struct Seen {
    var mostRunning = 0
    var mostActiveBlocks = 0
    var sum = 0
    var count = 0
    var (slots, empty) = (0, 0)
  }

  private let seen = Lock(Seen())

  /// Looks until the task is cancelled.
  func watch(_ engine: EngineCore) async {
    while !Task.isCancelled {
      look(at: engine.statistics)
      do { try await Task.sleep(for: .milliseconds(5)) } catch { return }
    }
  }

  private func look(at statistics: EngineStatistics) {
    seen.withLock { seen in
      seen.mostRunning = max(seen.mostRunning, statistics.runningSequences)
      seen.mostActiveBlocks = max(seen.mostActiveBlocks, statistics.activeBlocks)
      seen.sum += statistics.runningSequences
      seen.count += 1
      seen.slots += statistics.tableSlots
      seen.empty += statistics.emptySlots
    }
  }

  var mostRunning: Int { seen.withLock { $0.mostRunning } }
  var mostActiveBlocks: Int { seen.withLock { $0.mostActiveBlocks } }
  var slotUse: Double {
    seen.withLock { $0.slots == 0 ? 0 : 1 - Double($0.empty) / Double($0.slots) }
  }
  var meanRunning: Double { seen.withLock { $0.count == 0 ? 0 : Double($0.sum) / Double($0.count) } }
}
