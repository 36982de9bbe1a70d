import ServingTypes

/// A prefill for another worker. It is cancelled when the handle and its stream are gone; loans live on by themselves.
public final class PrefillHandle: Sendable {
  public let id: RequestID
  public let events: EventStream<PrefillEvent>
  private let lifetime: RequestLifetime

  init(id: RequestID, buffer: EventBuffer<PrefillEvent>, lifetime: RequestLifetime) {
    self.id = id
    self.lifetime = lifetime
    events = EventStream(buffer: buffer, lifetime: lifetime)
  }

  /// Ends the request within a step; the stream then throws `cancelled`, unless it had ended.
  public func cancel() { lifetime.cancel() }

  static func makeBuffer() -> EventBuffer<PrefillEvent> {
    EventBuffer { waiting, head, element in
      guard case .queued = element, case .queued = waiting[waiting.count - 1] else { return false }
      waiting[waiting.count - 1] = element
      return true
    }
  }
}
