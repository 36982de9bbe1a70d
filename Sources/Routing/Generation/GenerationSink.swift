import ServingTypes

/// Where a request's updates go: into a sequence that a client's task reads, or straight into what writes to the client.
public struct GenerationSink: Sendable {
  enum Destination: Sendable {
    case channel(BoundedChannel<GenerationUpdate>)
    case delivery(GenerationDelivery)
  }

  let destination: Destination

  /// Waits while the consumer is behind.
  /// - Throws: `cancelled` when the consumer is gone.
  public func send(_ update: GenerationUpdate) async throws(ServingError) {
    switch destination {
    case .channel(let channel): try await channel.send(update)
    case .delivery(let delivery): try await delivery.send(update)
    }
  }

  /// Sends an update that `send` need not wait with.
  /// - Returns: false where it would have to, or would throw: nothing was sent.
  func sendNow(_ update: GenerationUpdate) -> Bool {
    switch destination {
    case .channel(let channel): channel.sendNow(update)
    case .delivery(let delivery): delivery.sendNow(update)
    }
  }

  /// Ends the sequence. What was sent before is still delivered.
  public func finish(throwing error: ServingError? = nil) {
    if case .channel(let channel) = destination { channel.finish(throwing: error) }
  }

  /// Returns when the sequence's consumer is gone, or it was finished; for a delivery, when the router can't finish it; or when the
  /// task is cancelled.
  public func waitForCancellation() async {
    switch destination {
    case .channel(let channel): await channel.waitForClose()
    case .delivery(let delivery): await delivery.givenUp.wait()
    }
  }

  public var isCancelled: Bool {
    switch destination {
    case .channel(let channel): channel.isCancelled
    case .delivery(let delivery): delivery.failure != nil
    }
  }
}
