import Directory
import ServingTypes

/// What the router's own part of a decision takes: candidates out of the directory's answer and its memory, the choice
/// among them, and the notes of it. For benchmarks alone.
package struct DecisionLoad: Sendable {
  package var workers = 32
  /// Full blocks of each prompt; half of them are known from the turn before.
  package var promptBlocks = 2048
  package var decisions = 2000
  /// Requests under way meanwhile.
  package var inFlight = 256

  package init() {}

  /// Microseconds of each decision.
  package func run() -> [Double] {
    let configuration = RoutingConfiguration()
    let memory = RoutingMemory(configuration: configuration)
    let selector = WorkerSelector(configuration: configuration)
    let registered = (0..<workers).map { index in
      let role: WorkerRole = index % 2 == 0 ? .decode : .prefill
      return RegisteredWorker(
        record: WorkerRecord(
          reference: WorkerReference(
            id: WorkerID("worker-\(index)"), address: "127.0.0.1:\(1000 + index)", incarnation: Incarnation(7)),
          role: role, model: "simulated", layoutDigest: "5a", blockSize: 16, blockCount: 25_000,
          maximumModelLength: 65_536), isLeased: true, reported: .now)
    }
    var random = SplitMix64(seed: 1)
    let conversations = (0..<32).map { _ in
      (0..<promptBlocks).map { _ in BlockHash(high: random.next(), low: random.next()) }
    }
    var tickets: [RoutingMemory.Tickets] = []
    var times: [Double] = []
    for decision in 0..<(decisions + inFlight) {
      let whole = conversations[decision % conversations.count]
      // Turns of a conversation: the prompt grows, and the directory knows the last turn.
      let turn = decision / conversations.count % 8 + 1
      let hashes = Array(whole.prefix(promptBlocks / 2 + promptBlocks / 16 * turn))
      let known = hashes.count - promptBlocks / 16
      var prefixes: [WorkerID: CachedPrefix] = [:]
      for holder in 0..<(workers / 2) {
        prefixes[WorkerID("worker-\(holder)")] = CachedPrefix(device: known * holder / workers)
      }
      var query = SelectionQuery(model: "simulated", tokens: hashes.count * 16 + 5)
      query.affinity = hashes[0].low
      let start = ContinuousClock.now
      query.turn = memory.nextTurn()
      let candidates = memory.candidates(registered, prefixes: prefixes, hashes: [16: hashes], now: start)
      guard let chosen = selector.select(candidates, for: query) else { continue }
      tickets.append(memory.begin(chosen, tokens: query.tokens, hashes: hashes, now: start))
      if decision >= inFlight {
        times.append((ContinuousClock.now - start) / .microseconds(1))
        memory.end(tickets[decision - inFlight])
      }
    }
    return times
  }
}
