import KVCache
import Scheduling
import ServingTypes

// Blocks that leave for another worker, and blocks that come from one.
extension EngineLoop {
  // MARK: Lending

  /// The longest leading run of the hashes that is resident.
  func lend(_ hashes: [BlockHash]) -> [BlockLoan] {
    scheduler.pinPrefix(hashes).enumerated().map { index, block in
      statistics.blocksSent += 1
      let parent = scheduler.pool[block].identity?.parent ?? hashes[index]
      return BlockLoan(
        index: index, hash: hashes[index], parentHash: parent, tokenCount: blockSize,
        checksum: scheduler.pool[block].checksum, pin: BlockPin(block: block, memory: memory, mailbox: mailbox))
    }
  }

  /// A prefill was admitted: says how many blocks will come, and lends those that the cache has.
  func startLending(_ request: ActiveRequest) {
    guard case .prefill(let held) = request.submission.kind, case .prefill(let buffer) = request.submission.sink,
      let group = request.group
    else { return }
    let blocks = BlockTable.blockCount(tokens: group.prefixCount, blockSize: blockSize) - held
    outgoing.append(.prefill(buffer, .started(blocks: blocks, cachedTokens: group.cachedCount)))
    lendBlocks(of: request)
  }

  /// Lends every block that is sealed and was not lent yet.
  func lendBlocks(of request: ActiveRequest) {
    guard let leader = request.group?.leader else { return }
    while request.nextLoan < leader.sealedCount {
      let index = request.nextLoan
      request.nextLoan += 1
      lend(leader.table[index], index: index, hash: leader.hashes[index], tokens: [], of: request)
    }
  }

  private func lend(_ block: BlockID, index: Int, hash: BlockHash?, tokens: [TokenID], of request: ActiveRequest) {
    guard case .prefill(let buffer) = request.submission.sink, let group = request.group else { return }
    scheduler.pin(block)
    statistics.blocksSent += 1
    let checksum =
      hash == nil ? blockChecksum(UnsafeRawBufferPointer(memory.bytes(of: block))) : scheduler.pool[block].checksum
    let loan = BlockLoan(
      index: index, hash: hash, parentHash: index == 0 ? group.root : group.leader.hashes[index - 1],
      tokenCount: hash == nil ? tokens.count : blockSize, tokens: tokens, checksum: checksum,
      pin: BlockPin(block: block, memory: memory, mailbox: mailbox))
    outgoing.append(.prefill(buffer, .block(loan)))
  }

  /// The prefix is computed: lends the tail, draws the first tokens, and ends the request here.
  func endPrefill(_ request: ActiveRequest, _ logits: UnsafeBufferPointer<Float>, row: Int) throws(ServingError) {
    guard let group = request.group, case .prefill(let buffer) = request.submission.sink else { return }
    let tail = group.prefixCount % blockSize
    if tail > 0 {
      let index = group.prefixCount / blockSize
      lend(
        group.leader.table[index], index: index, hash: nil, tokens: Array(request.submission.prefix.suffix(tail)),
        of: request)
    }
    var firstTokens: [FirstToken] = []
    for sample in request.samples.indices where !request.samples[sample].isFinished {
      guard group.sequences[sample].tokens.count == group.prefixCount else { continue }
      let token = try draw(sample, of: request, position: group.prefixCount, logits, row: row)
      var tokens: [GeneratedToken] = []
      let finish = append(token, to: sample, of: request, into: &tokens)
      firstTokens.append(FirstToken(sample: sample, token: token, finish: finish))
    }
    let summary = request.summary
    let admitted = group.admitted ?? group.arrival
    outgoing.append(
      .prefill(
        buffer,
        .end(
          PrefillEnd(
            firstTokens: firstTokens, computedTokens: summary.computedTokens, cachedTokens: group.cachedCount,
            fetchedBlocks: group.fetchedBlocks, fetchSeconds: group.fetchSeconds, queueSeconds: summary.queueSeconds,
            prefillSeconds: (clock.now - admitted).seconds))))
    endFinished(request)
  }

  /// Tells waiting prefills how many requests go first, where that changed.
  func reportQueue() {
    for (ahead, sequence) in scheduler.waiting.enumerated() where sequence.group.isLent {
      guard let request = requests[sequence.group.key], request.reportedAhead != ahead, sequence.group.admitted == nil,
        case .prefill(let buffer) = request.submission.sink
      else { continue }
      request.reportedAhead = ahead
      outgoing.append(.prefill(buffer, .queued(ahead: ahead)))
    }
  }

  // MARK: Receiving

  /// The request if it is one whose blocks still come from elsewhere.
  private func receiver(_ key: UInt64) -> (request: ActiveRequest, group: SequenceGroup)? {
    guard let request = requests[key], let group = request.group, group.isReceived else { return nil }
    return (request, group)
  }

  static var notReceiving: ServingError {
    ServingError(.aborted, "the request has ended, or computes its prompt here")
  }

  func reserve(_ key: UInt64, _ reply: EngineCommand.Reply<Int>) {
    guard let (request, group) = receiver(key), request.reserveReply == nil else {
      outgoing.append(.count(reply, .failure(Self.notReceiving)))
      return
    }
    if group.leader.status == .receiving {
      outgoing.append(.count(reply, .success(request.committedBlocks)))
    } else {
      request.reserveReply = reply
    }
  }

  func answerReserve(_ request: ActiveRequest) {
    guard let group = request.group else { return }
    leaveQueue(request)
    request.committedBlocks = group.leader.sealedCount
    if let reply = request.reserveReply { outgoing.append(.count(reply, .success(request.committedBlocks))) }
    request.reserveReply = nil
  }

  func bind(_ key: UInt64, _ reply: EngineCommand.Reply<[BlockSlot]>) {
    guard let (request, group) = receiver(key) else {
      outgoing.append(.slots(reply, .failure(Self.notReceiving)))
      return
    }
    guard request.bindReply == nil, scheduler.requestBlocks(for: group) else {
      outgoing.append(
        .slots(
          reply, .failure(ServingError(.failedPrecondition, "blocks were bound before capacity was reserved"))))
      return
    }
    request.bindReply = reply
  }

  func answerBind(_ request: ActiveRequest) {
    guard let group = request.group, let reply = request.bindReply else { return }
    request.bindReply = nil
    let leader = group.leader
    let tail = group.prefixCount % blockSize
    // A tail that came from an earlier candidate comes again.
    request.committedBlocks = min(request.committedBlocks, group.prefixCount / blockSize)
    let slots = (request.committedBlocks..<leader.table.count).map { index in
      tiers?.storeEvicted(leader.table[index], of: scheduler)
      scheduler.pin(leader.table[index])
      let isTail = index == leader.hashes.count
      return BlockSlot(
        index: index, hash: isTail ? nil : leader.hashes[index],
        parentHash: index == 0 ? group.root : leader.hashes[index - 1], tokenCount: isTail ? tail : blockSize,
        tokens: isTail ? Array(request.submission.prefix.suffix(tail)) : [],
        pin: BlockPin(block: leader.table[index], memory: memory, mailbox: mailbox))
    }
    outgoing.append(.slots(reply, .success(slots)))
  }

  func commit(_ key: UInt64, index: Int, checksum: UInt32) {
    // In order only: whatever comes out of it counts as missing, and is computed here in the end.
    guard let (request, group) = receiver(key), group.isBound, index == request.committedBlocks,
      index < group.leader.table.count
    else { return }
    request.committedBlocks += 1
    statistics.blocksReceived += 1
    scheduler.commitReceived(group, index: index, checksum: checksum)
  }

  func heldBlocks(_ key: UInt64) -> Int {
    guard let (request, group) = receiver(key) else { return 0 }
    return min(request.committedBlocks, group.prefixCount / blockSize)
  }

  func complete(_ key: UInt64, _ end: PrefillEnd) {
    guard let (request, group) = receiver(key) else { return }
    let blocks = BlockTable.blockCount(tokens: group.prefixCount, blockSize: blockSize)
    var first: [Int: FirstToken] = [:]
    for token in end.firstTokens where token.token.id >= 0 && Int(token.token.id) < vocabularySize {
      first[token.sample] = token
    }
    let isComplete = group.sequences.allSatisfy {
      $0.status == .finished || $0.tokens.count > group.prefixCount || first[$0.sample] != nil
    }
    let hasAll = request.committedBlocks == blocks || configuration.mutants.contains(.acceptHole)
    guard isComplete, group.leader.status == .receiving, hasAll else {
      return computeHere(request)
    }
    if let reply = request.bindReply { outgoing.append(.slots(reply, .failure(Self.notReceiving))) }
    request.bindReply = nil
    scheduler.finishReceiving(group)
    do throws(ServingError) {
      try startSamples(of: request) { (sample: Int) throws(ServingError) -> (GeneratedToken, FinishReason?)? in
        first[sample].map { ($0.token, $0.finish) }
      }
    } catch {
      fail(request, error)
    }
  }

  /// The scheduler took its promise back; whoever waits for the slots, or asks later, is told.
  func refuseSlots(of request: ActiveRequest) {
    if let reply = request.bindReply { outgoing.append(.slots(reply, .failure(Self.notReceiving))) }
    request.bindReply = nil
  }

  func computeHere(_ request: ActiveRequest) {
    guard let group = request.group, group.isReceived else { return }
    if let reply = request.reserveReply { outgoing.append(.count(reply, .failure(Self.notReceiving))) }
    if let reply = request.bindReply { outgoing.append(.slots(reply, .failure(Self.notReceiving))) }
    request.reserveReply = nil
    request.bindReply = nil
    scheduler.computeHere(group)
  }
}
