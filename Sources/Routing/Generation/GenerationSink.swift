import ServingTypes

/// The feeding end of `GenerationUpdates`.
public struct GenerationSink: Sendable {
  let channel: BoundedChannel<GenerationUpdate>

  /// Waits while the consumer is behind.
  /// - Throws: `cancelled` when the consumer is gone.
  public func send(_ update: GenerationUpdate) async throws(ServingError) { try await channel.send(update) }

  /// Ends the sequence. What was sent before is still delivered.
  public func finish(throwing error: ServingError? = nil) { channel.finish(throwing: error) }

  /// Returns when the consumer is gone, or the sequence was finished, or the task is cancelled.
  public func waitForCancellation() async { await channel.waitForClose() }

  public var isCancelled: Bool { channel.isCancelled }
}
