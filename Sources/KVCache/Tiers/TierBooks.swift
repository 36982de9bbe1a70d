import ServingTypes

/// Which blocks lie in which slot of which tier, and how fast they come up. It moves nothing itself.
struct TierBooks {
  private struct Copy {
    var slot: Int32
    /// Written in full or promised, and not known to be bad.
    var isReady: Bool
  }

  private struct Entry {
    var identity: BlockIdentity
    var checksum: UInt32
    var host: Copy?
    var file: Copy?

    subscript(tier: CacheTier) -> Copy? {
      get { tier == .host ? host : tier == .file ? file : nil }
      set { if tier == .host { host = newValue } else { file = newValue } }
    }

    /// In host memory and nowhere below.
    var isUnfiled: Bool { host?.isReady == true && file == nil }
  }

  private var entries: [BlockHash: Entry] = [:]
  /// Of host memory and of the file.
  private var slots: [TierSlots]
  /// Hashes that became unfiled, the oldest first; those that no longer are so are skipped.
  private var unfiled = WorkQueue<BlockHash>()
  private(set) var unfiledCount = 0
  private var secondsPerLoad: [CacheTier: Double] = [:]

  init(hostCapacity: Int, fileCapacity: Int) {
    slots = [TierSlots(capacity: hostCapacity), TierSlots(capacity: fileCapacity)]
  }

  private func index(_ tier: CacheTier) -> Int { tier == .file ? 1 : 0 }

  func capacity(_ tier: CacheTier) -> Int { slots[index(tier)].capacity }

  func count(_ tier: CacheTier) -> Int { slots[index(tier)].count }

  /// The nearest tier that can give the block.
  func tier(of hash: BlockHash) -> CacheTier? {
    guard let entry = entries[hash] else { return nil }
    if entry.host?.isReady == true { return .host }
    return entry.file?.isReady == true ? .file : nil
  }

  /// Some tier has the block, or will have.
  func isKept(_ hash: BlockHash) -> Bool { entries[hash] != nil }

  func identity(of hash: BlockHash) -> BlockIdentity? { entries[hash]?.identity }

  // MARK: Copies

  private mutating func change(_ hash: BlockHash, _ body: (inout Entry) -> Void) {
    guard var entry = entries[hash] else { return }
    let wasUnfiled = entry.isUnfiled
    body(&entry)
    entries[hash] = entry.host == nil && entry.file == nil ? nil : entry
    guard capacity(.file) > 0, wasUnfiled != entry.isUnfiled else { return }
    unfiledCount += entry.isUnfiled ? 1 : -1
    guard entry.isUnfiled else { return }
    unfiled.append(hash)
    if unfiled.count > 2 * capacity(.host) + 64 {
      let entries = entries
      unfiled.keep { entries[$0]?.isUnfiled == true }
    }
  }

  /// A slot with one user for a block that the tier does not have; nil when none is idle.
  ///
  /// - Returns: also the block that gave its slot up.
  mutating func place(
    _ identity: BlockIdentity, checksum: UInt32, in tier: CacheTier
  ) -> (slot: Int32, victim: BlockIdentity?)? {
    precondition(entries[identity.hash]?[tier] == nil, "a tier takes a block that it has")
    var taken = slots[index(tier)].take(for: identity.hash)
    var victim: BlockIdentity?
    if taken == nil, let oldest = slots[index(tier)].oldestIdle {
      let hash = slots[index(tier)].hashes[Int(oldest)]
      victim = entries[hash]?.identity
      drop(hash, from: tier)
      taken = slots[index(tier)].take(for: identity.hash)
    }
    guard let slot = taken else { return nil }
    if entries[identity.hash] == nil { entries[identity.hash] = Entry(identity: identity, checksum: checksum) }
    change(identity.hash) { $0[tier] = Copy(slot: slot, isReady: false) }
    return (slot, victim)
  }

  /// The slot's only writer has written it, or failed to. Then whoever reads it on a promise finds that, and is the last to
  /// leave it.
  mutating func endWrite(_ hash: BlockHash, in tier: CacheTier, isGood: Bool) {
    guard let copy = entries[hash]?[tier] else { return }
    slots[index(tier)].endUse(copy.slot)
    change(hash) { $0[tier]?.isReady = isGood }
    if !isGood, slots[index(tier)].users[Int(copy.slot)] == 0 { drop(hash, from: tier) }
  }

  /// The slot counts as written, though that is still to be done.
  mutating func promise(_ hash: BlockHash, in tier: CacheTier) { change(hash) { $0[tier]?.isReady = true } }

  /// A user of the slot that gives the block, from the nearest tier.
  mutating func beginRead(
    _ hash: BlockHash
  ) -> (tier: CacheTier, slot: Int32, identity: BlockIdentity, checksum: UInt32)? {
    guard let tier = tier(of: hash), let entry = entries[hash], let copy = entry[tier] else { return nil }
    slots[index(tier)].use(copy.slot)
    return (tier, copy.slot, entry.identity, entry.checksum)
  }

  /// - Parameter isBad: nobody shall read it again.
  mutating func endRead(_ hash: BlockHash, in tier: CacheTier, isBad: Bool) {
    guard let copy = entries[hash]?[tier] else { return }
    slots[index(tier)].endUse(copy.slot)
    if isBad { change(hash) { $0[tier]?.isReady = false } }
    if entries[hash]?[tier]?.isReady == false, slots[index(tier)].users[Int(copy.slot)] == 0 { drop(hash, from: tier) }
  }

  mutating func touch(_ hash: BlockHash) {
    for tier in [CacheTier.host, .file] { if let copy = entries[hash]?[tier] { slots[index(tier)].touch(copy.slot) } }
  }

  private mutating func drop(_ hash: BlockHash, from tier: CacheTier) {
    guard let copy = entries[hash]?[tier] else { return }
    change(hash) { $0[tier] = nil }
    slots[index(tier)].release(copy.slot)
  }

  /// The block that is to go from host memory to the file next.
  mutating func nextUnfiled() -> (identity: BlockIdentity, checksum: UInt32)? {
    while let hash = unfiled.popFirst() {
      if let entry = entries[hash], entry.isUnfiled { return (entry.identity, entry.checksum) }
    }
    return nil
  }

  /// It could not go yet.
  mutating func putBack(unfiled hash: BlockHash) { unfiled.append(hash) }

  // MARK: Rates

  /// What bringing up one block takes, by measurement; nothing while it is unknown.
  func loadSeconds(_ tier: CacheTier) -> Double { secondsPerLoad[tier] ?? 0 }

  mutating func observeLoad(_ tier: CacheTier, seconds: Double) {
    secondsPerLoad[tier] = secondsPerLoad[tier].map { $0 + 0.2 * (seconds - $0) } ?? seconds
  }

  /// Loads that took too long to be measured.
  mutating func penalise(_ tier: CacheTier, seconds: Double) {
    secondsPerLoad[tier] = max(loadSeconds(tier), seconds)
  }

  /// An estimate that keeps a tier from being used is never measured again; so it fades.
  mutating func fade(_ tier: CacheTier) { secondsPerLoad[tier] = loadSeconds(tier) * 0.9 }

  // MARK: Checks

  /// Everything that can be had from a tier. O(n).
  var held: [CachedBlock] {
    entries.values.compactMap { entry in
      guard let tier = tier(of: entry.identity.hash) else { return nil }
      var block = entry.identity.cachedBlock
      block.tier = tier
      return block
    }
  }

  /// What contradicts itself, if anything does. O(n).
  ///
  /// - Parameter users: copies under way that read or write slots.
  func fault(users: Int) -> String? {
    var sum = 0
    for tier in [CacheTier.host, .file] {
      let slots = slots[index(tier)]
      let taken = slots.taken
      guard taken.count == slots.count, slots.count <= slots.capacity else {
        return "tier \(tier.rawValue) counts \(slots.count) slots of \(slots.capacity) and links \(taken.count)"
      }
      for slot in taken {
        sum += Int(slots.users[Int(slot)])
        guard slots.users[Int(slot)] >= 0, entries[slots.hashes[Int(slot)]]?[tier]?.slot == slot else {
          return "slot \(slot) of tier \(tier.rawValue) holds a block that the books place elsewhere"
        }
      }
      let copies = entries.values.reduce(0) { $0 + ($1[tier] == nil ? 0 : 1) }
      guard copies == taken.count else {
        return "tier \(tier.rawValue) has \(taken.count) slots taken by \(copies) blocks"
      }
    }
    guard sum == users else { return "\(sum) users of slots are counted; \(users) copies are under way" }
    let unfiled = capacity(.file) == 0 ? 0 : entries.values.reduce(0) { $0 + ($1.isUnfiled ? 1 : 0) }
    return unfiled == unfiledCount ? nil : "\(unfiled) blocks are in host memory alone; \(unfiledCount) are counted"
  }
}
