/// Deficit round robin among tenants, by tokens: prompt tokens at admission, generated ones as they come.
///
/// In its turn a tenant goes first while it has credit left. When nobody who waits has any, everybody who waits gets a
/// quantum. What a request costs is known only in the end, so credit may fall below 0; the next turns repay it. Unused
/// turns are not saved, and whoever comes starts no better than the best of those who wait: nobody pays for what he
/// used while nobody else wanted it.
/// - SeeAlso: Shreedhar and Varghese, Efficient Fair Queuing Using Deficit Round Robin (1995); Sheng et al., Fairness in
///   Serving Large Language Models (2024), on charging for output as it comes.
struct FairShare {
  private let quantum: Int
  /// Bounded by the requests that are there.
  private var shares: [String: TenantShare] = [:]
  private var ring: [TenantShare] = []
  /// Where in the ring the search for credit begins; behind its end, where the next newcomer will stand, it goes round.
  private var turn = 0
  private var rounds = 0

  init(quantum: Int) { self.quantum = max(1, quantum) }

  /// Debts beyond this are forgiven, so that no tenant waits for ever for what it once used.
  private var largestDebt: Int { 16 * quantum }

  // MARK: Accounts

  mutating func open(_ tenant: String) -> TenantShare {
    let share = shares[tenant] ?? TenantShare(tenant: tenant)
    if share.groups == 0 {
      shares[tenant] = share
      ring.append(share)
    }
    share.groups += 1
    return share
  }

  mutating func close(_ share: TenantShare) {
    share.groups -= 1
    guard share.groups == 0, let index = ring.firstIndex(where: { $0 === share }) else { return }
    shares[share.tenant] = nil
    ring.remove(at: index)
    if turn > index { turn -= 1 }
  }

  /// A sequence of the tenant came to the queue.
  func enqueue(_ share: TenantShare) {
    if share.waiting == 0 {
      let best = ring.lazy.filter { $0.waiting > 0 }.map(\.deficit).max() ?? 0
      share.deficit = min(share.deficit + (rounds - share.round) * quantum, best, 0)
    }
    share.waiting += 1
  }

  /// A sequence of the tenant left the queue.
  func dequeue(_ share: TenantShare) {
    share.waiting -= 1
    share.round = rounds
  }

  /// Charges an admission, which takes the turn. The sequence still counts as waiting.
  mutating func admit(_ share: TenantShare, cost: Int) {
    if share.deficit <= 0 {
      let count = 1 - share.deficit / quantum
      rounds += count
      for other in ring where other.waiting > 0 { other.deficit = min(other.deficit + count * quantum, quantum) }
    }
    charge(share, cost)
    turn = ring.firstIndex { $0 === share } ?? 0
    if share.deficit <= 0 { turn += 1 }
  }

  func charge(_ share: TenantShare, _ tokens: Int) { share.deficit = max(share.deficit - tokens, -largestDebt) }

  // MARK: The order of the queue

  /// Begins a plan of who would go next if each were admitted; it changes no account.
  func beginPlan() -> Int {
    for share in ring { share.planned = share.deficit }
    return turn
  }

  /// The sequences in the order of their tenants' turns. Only the first `limit` are placed so; the rest follow as given.
  func plan(_ sequences: [Sequence], turn: inout Int, limit: Int, into order: inout [Sequence]) {
    for sequence in sequences { sequence.group.share?.queue.append(sequence) }
    let end = order.count + min(limit, sequences.count)
    while order.count < end, let share = next(&turn) {
      let sequence = share.queue[share.head]
      share.head += 1
      share.planned -= sequence.remainingCount
      if share.planned <= 0 { turn += 1 }
      order.append(sequence)
      sequence.isPlanned = true
    }
    for sequence in sequences where !sequence.isPlanned { order.append(sequence) }
    for sequence in sequences { sequence.isPlanned = false }
    for share in ring {
      share.queue.removeAll(keepingCapacity: true)
      share.head = 0
    }
  }

  /// Whose turn it is, from `turn` on, among those with something left in the plan.
  private func next(_ turn: inout Int) -> TenantShare? {
    while true {
      var least: Int?
      for offset in 0..<ring.count {
        let index = (turn + offset) % ring.count
        let share = ring[index]
        guard share.head < share.queue.count else { continue }
        if share.planned > 0 {
          turn = index
          return share
        }
        least = min(least ?? Int.max, -share.planned / quantum + 1)
      }
      guard let least else { return nil }
      for share in ring where share.head < share.queue.count {
        share.planned = min(share.planned + least * quantum, quantum)
      }
    }
  }
}
