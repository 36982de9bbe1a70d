/// Actions in the order of their times; those of one time in the order in which they came.
struct TimerQueue {
  private struct Entry {
    let time: ContinuousClock.Instant
    let id: Int

    func precedes(_ other: Entry) -> Bool { (time, id) < (other.time, other.id) }
  }

  /// A binary heap. Entries that were called off stay until they come first.
  private var heap: [Entry] = []
  private var actions: [Int: @Sendable () -> Void] = [:]
  private var nextID = 0

  mutating func insert(at time: ContinuousClock.Instant, _ action: @escaping @Sendable () -> Void) -> Int {
    nextID += 1
    actions[nextID] = action
    heap.append(Entry(time: time, id: nextID))
    var child = heap.count - 1
    while child > 0, heap[child].precedes(heap[(child - 1) / 2]) {
      heap.swapAt(child, (child - 1) / 2)
      child = (child - 1) / 2
    }
    return nextID
  }

  mutating func remove(_ id: Int) -> Bool { actions.removeValue(forKey: id) != nil }

  /// The time of the first action.
  var first: ContinuousClock.Instant? {
    mutating get {
      while let entry = heap.first, actions[entry.id] == nil { dropFirst() }
      return heap.first?.time
    }
  }

  mutating func popFirst() -> (@Sendable () -> Void)? {
    while let entry = heap.first {
      dropFirst()
      if let action = actions.removeValue(forKey: entry.id) { return action }
    }
    return nil
  }

  private mutating func dropFirst() {
    heap.swapAt(0, heap.count - 1)
    heap.removeLast()
    var parent = 0
    while true {
      var least = parent
      for child in [2 * parent + 1, 2 * parent + 2] where child < heap.count && heap[child].precedes(heap[least]) {
        least = child
      }
      if least == parent { return }
      heap.swapAt(parent, least)
      parent = least
    }
  }
}
