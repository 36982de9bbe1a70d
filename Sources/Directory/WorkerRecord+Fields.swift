import ServingTypes

extension WorkerRecord {
  /// The record as the fields of a Redis hash.
  var fields: [(name: String, value: String)] {
    [
      ("id", id.value), ("address", reference.address), ("incarnation", reference.incarnation.description),
      ("role", role.rawValue), ("model", model), ("layout_digest", layoutDigest), ("block_size", "\(blockSize)"),
      ("num_blocks", "\(blockCount)"), ("max_model_len", "\(maximumModelLength)"),
      ("pending_prefill_tokens", "\(load.pendingPrefillTokens)"), ("running_sequences", "\(load.runningSequences)"),
      ("waiting_sequences", "\(load.waitingSequences)"), ("active_blocks", "\(load.activeBlocks)"),
      ("draining", isDraining ? "1" : "0"), ("epoch", "\(epoch)"), ("sequence", "\(sequence)"),
    ]
  }

  /// Reads a record from a Redis hash; unknown fields are ignored.
  /// - Throws: `dataLoss` that names the field that is missing or wrong.
  init(fields: [String: String]) throws(ServingError) {
    let id = fields["id"] ?? "?"
    func text(_ name: String) throws(ServingError) -> String {
      guard let value = fields[name], !value.isEmpty else {
        throw ServingError(.dataLoss, "the lease of worker '\(id)' has no \(name)")
      }
      return value
    }
    func count(_ name: String) throws(ServingError) -> Int {
      let value = try text(name)
      guard let number = Int(value), number >= 0 else {
        throw ServingError(.dataLoss, "the lease of worker '\(id)' has \(name) '\(value)', which is no count")
      }
      return number
    }
    guard let incarnation = UInt64(try text("incarnation"), radix: 16) else {
      throw ServingError(.dataLoss, "the lease of worker '\(id)' has an incarnation that is not hexadecimal")
    }
    guard let role = WorkerRole(rawValue: try text("role")) else {
      throw ServingError(.dataLoss, "the lease of worker '\(id)' has a role other than prefill, decode and both")
    }
    let blockSize = try count("block_size")
    guard blockSize > 0 else { throw ServingError(.dataLoss, "the lease of worker '\(id)' has block_size 0") }
    self.init(
      reference: WorkerReference(
        id: WorkerID(try text("id")), address: try text("address"), incarnation: Incarnation(incarnation)),
      role: role, model: try text("model"), layoutDigest: try text("layout_digest"), blockSize: blockSize,
      blockCount: try count("num_blocks"), maximumModelLength: try count("max_model_len"),
      load: WorkerLoad(
        pendingPrefillTokens: try count("pending_prefill_tokens"), runningSequences: try count("running_sequences"),
        waitingSequences: try count("waiting_sequences"), activeBlocks: try count("active_blocks")),
      isDraining: try text("draining") == "1", epoch: try count("epoch"), sequence: try count("sequence"))
  }
}
