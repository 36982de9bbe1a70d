import ServingTypes

/// A tier's slots: which are free, and the taken ones from the least to the most recently used. Grows as it is used.
struct TierSlots {
  let capacity: Int
  private(set) var count = 0
  /// By slot: whose block it holds, and copies that read or write it now.
  private(set) var hashes: [BlockHash] = []
  private(set) var users: [Int32] = []
  private var free: [Int32] = []
  /// Slot s is entry s + 1 of a ring that entry 0 closes.
  private var next: [Int32] = [0]
  private var previous: [Int32] = [0]

  init(capacity: Int) { self.capacity = capacity }

  /// A slot as the most recently used one, with one user; nil when all are taken.
  mutating func take(for hash: BlockHash) -> Int32? {
    let slot: Int32
    if let old = free.popLast() {
      slot = old
      hashes[Int(slot)] = hash
      users[Int(slot)] = 1
    } else {
      guard hashes.count < capacity else { return nil }
      slot = Int32(hashes.count)
      hashes.append(hash)
      users.append(1)
      next.append(0)
      previous.append(0)
    }
    link(slot)
    count += 1
    return slot
  }

  mutating func touch(_ slot: Int32) {
    unlink(slot)
    link(slot)
  }

  mutating func use(_ slot: Int32) { users[Int(slot)] += 1 }

  mutating func endUse(_ slot: Int32) { users[Int(slot)] -= 1 }

  mutating func release(_ slot: Int32) {
    precondition(users[Int(slot)] == 0, "slot \(slot) is released while it is read or written")
    unlink(slot)
    free.append(slot)
    count -= 1
  }

  /// The least recently used slot that nobody reads or writes.
  var oldestIdle: Int32? {
    var at = next[0]
    while at != 0 {
      if users[Int(at) - 1] == 0 { return at - 1 }
      at = next[Int(at)]
    }
    return nil
  }

  private mutating func link(_ slot: Int32) {
    let (at, last) = (slot + 1, previous[0])
    next[Int(last)] = at
    previous[Int(at)] = last
    next[Int(at)] = 0
    previous[0] = at
  }

  private mutating func unlink(_ slot: Int32) {
    let at = Int(slot + 1)
    next[Int(previous[at])] = next[at]
    previous[Int(next[at])] = previous[at]
  }

  /// Taken slots. For checks; O(n).
  var taken: [Int32] {
    var slots: [Int32] = []
    var at = next[0]
    while at != 0, slots.count <= count {
      slots.append(at - 1)
      at = next[Int(at)]
    }
    return slots
  }
}
