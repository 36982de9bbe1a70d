import KVCache
import Scheduling
import ServingTypes

/// Runs a scenario: a text of commands, each followed by the output that it must give.
///
///     # a comment
///     config block_size=4 blocks=16 max_num_seqs=4 ...
///     > add a prompt=10 [seed=1] [n=2] [priority=1] [tenant=x] [prompt_logits] [lent] [received]
///     > step [at=20ms] [took=50] [slice=last [slices_took=300]]
///     a: prefill 0..<8
///     > finish a
///
/// A model stands in for the executor: each wanted row of logits gives the sequence a next token at once.
struct Scenario {
  struct Mismatch: Error, CustomStringConvertible { var description: String }

  private var scheduler: Scheduler
  private var groups: [String: SequenceGroup] = [:]
  private var names: [UInt64: String] = [:]
  private let start = ContinuousClock.now
  private var now: Duration = .zero
  private var nextKey: UInt64 = 1
  private var pins = 0

  /// Compares each command's output with the lines under it.
  static func run(_ text: String) throws {
    var scenario: Scenario?
    var expected: [String] = []
    var actual: [String] = []
    var command = (text: "", line: 0)
    func compare() throws {
      guard expected != actual else { return }
      throw Mismatch(
        description: "line \(command.line): \(command.text)\n  expected:\n\(list(expected))  got:\n\(list(actual))")
    }
    func list(_ lines: [String]) -> String { lines.map { "    \($0)\n" }.joined() }
    for (index, raw) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
      let line = raw.trimmed
      if line.isEmpty || line.hasPrefix("#") { continue }
      if line.hasPrefix("config") {
        scenario = try Scenario(Words(line))
      } else if line.hasPrefix(">") {
        try compare()
        command = (line, index + 1)
        expected = []
        actual = try scenario?.perform(Words(String(line.dropFirst()).trimmed)) ?? ["no config"]
      } else {
        expected.append(line)
      }
    }
    try compare()
    try scenario?.close()
  }

  /// Ends what the text left open: every scenario must come out even.
  private mutating func close() throws {
    for group in groups.values { scheduler.end(group) }
    try scheduler.checkIntegrity(pins: 0)
    if scheduler.pool.activeCount > 0 {
      throw Mismatch(description: "\(scheduler.pool.activeCount) blocks are active after the end")
    }
  }

  private init(_ words: Words) throws {
    var configuration = SchedulerConfiguration(blockSize: try words.int("block_size", 4))
    configuration.maxNumSeqs = try words.int("max_num_seqs", 8)
    configuration.maxNumBatchedTokens = try words.int("max_num_batched_tokens", 64)
    configuration.maxPrefillTokens = try words.int("max_prefill_tokens", 64)
    configuration.prefillChunkSize = try words.int("prefill_chunk_size", 16)
    configuration.handoffChunkSize = try words.int("handoff_chunk_size", 8)
    configuration.enableChunkedPrefill = words["chunked"] != "off"
    configuration.targetStepTime = .milliseconds(try words.int("target_step_time", 0))
    configuration.slicedChunkSize = try words.int("sliced_chunk_size", 0)
    configuration.maxQueueWait = .milliseconds(try words.int("max_queue_wait", 1000))
    configuration.policy = words["policy"] == "lifo" ? .lifo : .fifo
    configuration.fairShare = words["fair_share"].flatMap(FairSharePolicy.init) ?? .none
    configuration.fairShareQuantum = try words.int("quantum", 8)
    scheduler = Scheduler(
      configuration: configuration,
      pool: BlockPool(blockCount: try words.int("blocks", 16), isCaching: words["caching"] != "off"))
  }

  private mutating func perform(_ words: Words) throws -> [String] {
    switch words.name {
    case "add": return try add(words)
    case "step": return try step(words)
    case "finish", "cancel":
      scheduler.end(try group(words))
      return []
    case "bind": return scheduler.requestBlocks(for: try group(words)) ? [] : ["not reserved"]
    case "commit":
      let group = try group(words)
      for index in group.leader.sealedCount..<(try words.int("to", 0)) {
        scheduler.commitReceived(group, index: index, checksum: 0)
      }
      return []
    case "received":
      let group = try group(words)
      scheduler.finishReceiving(group)
      for sequence in group.sequences { sequence.append(7) }
      return []
    case "compute_here":
      scheduler.computeHere(try group(words))
      return []
    case "draft":
      let group = try group(words)
      group.leader.drafts = [TokenID](repeating: 9, count: try words.int("count", 1))
      return []
    case "pool":
      let pool = scheduler.pool
      return [
        "active \(pool.activeCount) cached \(pool.cachedCount) free \(pool.freeCount) pending \(pool.cache.pendingCount)"
      ]
    default: throw Mismatch(description: "unknown command \(words.name)")
    }
  }

  private func group(_ words: Words) throws -> SequenceGroup {
    guard let group = groups[words.subject] else { throw Mismatch(description: "no group \(words.subject)") }
    return group
  }

  private mutating func add(_ words: Words) throws -> [String] {
    let size = scheduler.configuration.blockSize
    let seed = TokenID(try words.int("seed", Int(nextKey)))
    let tokens = (0..<(try words.int("prompt", 1))).map { TokenID($0) + seed * 1000 }
    let group = SequenceGroup(
      key: nextKey, samples: [[TokenID]](repeating: tokens, count: try words.int("n", 1)), prefixCount: tokens.count,
      hashes: BlockHash.chain(tokens: tokens, blockSize: size, salt: ""),
      root: BlockHash.root(salt: "", blockSize: size), priority: try words.int("priority", 0),
      tenant: words["tenant"] ?? "", arrival: start + now, isLent: words.has("lent"),
      isReceived: words.has("received"), promptLogitCount: words.has("prompt_logits") ? tokens.count - 1 : 0)
    groups[words.subject] = group
    names[nextKey] = words.subject
    nextKey += 1
    scheduler.add(group)
    return []
  }

  private func name(_ group: SequenceGroup) -> String { names[group.key] ?? "?" }

  private func name(_ sequence: Sequence) -> String {
    name(sequence.group) + (sequence.group.sequences.count > 1 ? "/\(sequence.sample)" : "")
  }

  private mutating func step(_ words: Words) throws -> [String] {
    now += .milliseconds(try words.int("after", 1))
    scheduler.schedule(now: start + now)
    let output = scheduler.output
    var lines: [String] = []
    for refusal in output.refused { lines.append("\(name(refusal.group)): refused \(refusal.error.code.rawValue)") }
    for group in output.bound { lines.append("\(name(group)): bound \(group.leader.table.count)") }
    for group in output.withdrawn { lines.append("\(name(group)): withdrawn") }
    for sequence in output.preempted { lines.append("\(name(sequence)): preempted") }
    for group in output.admitted { lines.append("\(name(group)): admitted cached \(group.cachedCount)") }
    for group in output.reserved { lines.append("\(name(group)): reserved held \(group.leader.table.count)") }
    if !output.copies.isEmpty { lines.append("copies \(output.copies.count)") }
    for segment in output.segments {
      let range = "\(segment.start)..<\(segment.start + segment.count + segment.draftCount)"
      lines.append(
        "\(name(segment.sequence)): \(segment.isDecode ? "decode" : "prefill") \(range)"
          + (segment.logitCount > 0 ? " logits \(segment.logitCount)" : "")
          + (segment.promptLogitCount > 0 ? " prompt \(segment.promptLogitCount)" : ""))
    }
    var computed = output.segments
    if let slice = output.slice {
      let range = "\(slice.segment.start)..<\(slice.segment.start + slice.segment.count)"
      lines.append(
        "\(name(slice.segment.sequence)): slice \(range)" + (slice.isFirst ? " first" : "")
          + (slice.segment.logitCount > 0 ? " logits \(slice.segment.logitCount)" : ""))
      if words["slice"] == "last" {
        scheduler.endSlices(seconds: Double(try words.int("slices_took", 0)) / 1000)
        computed.append(slice.segment)
      }
    }
    for segment in computed {
      let sequence = segment.sequence
      let end = segment.start + segment.count
      scheduler.advance(sequence, to: end) { _ in 0 }
      sequence.drafts.removeAll()
      guard segment.logitCount > segment.promptLogitCount else { continue }
      if sequence.group.isLent {
        scheduler.end(sequence.group)
      } else if sequence.group.isForked {
        sequence.append(7)
      } else {
        scheduler.fork(sequence.group)
        for sample in sequence.group.sequences { sample.append(7) }
      }
    }
    scheduler.observe(seconds: Double(try words.int("took", 0)) / 1000)
    try scheduler.checkIntegrity(pins: pins)
    return lines.isEmpty ? ["nothing"] : lines
  }
}

/// A command's words: a name, a subject, flags and `key=value` pairs.
struct Words {
  let name: String
  let subject: String
  private var values: [String: String] = [:]
  private var flags: Set<String> = []

  init(_ line: String) {
    var words = line.split(separator: " ").map(String.init)
    name = words.isEmpty ? "" : words.removeFirst()
    var subject = ""
    for word in words {
      let parts = word.split(separator: "=", maxSplits: 1).map(String.init)
      if parts.count == 2 {
        values[parts[0]] = parts[1]
      } else if subject.isEmpty {
        subject = word
      } else {
        flags.insert(word)
      }
    }
    self.subject = subject
  }

  subscript(key: String) -> String? { values[key] }

  func has(_ flag: String) -> Bool { flags.contains(flag) }

  func int(_ key: String, _ other: Int) throws -> Int {
    guard let text = values[key] else { return other }
    guard let value = Int(text) else { throw Scenario.Mismatch(description: "\(key)=\(text) is no number") }
    return value
  }
}

extension StringProtocol {
  var trimmed: String {
    var text = Substring(self)
    while text.first?.isWhitespace == true { text.removeFirst() }
    while text.last?.isWhitespace == true { text.removeLast() }
    return String(text)
  }
}
