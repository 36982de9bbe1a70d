import ServingTypes

/// A running generation. It is cancelled when the handle and its stream are gone.
public final class GenerationHandle: Sendable {
  public let id: RequestID
  public let events: EventStream<GenerationEvent>
  private let lifetime: RequestLifetime
  private let stoppedSamples = Lock(Set<Int>())
  private let sampleCount: Int

  init(id: RequestID, sampleCount: Int, buffer: EventBuffer<GenerationEvent>, lifetime: RequestLifetime) {
    self.id = id
    self.sampleCount = sampleCount
    self.lifetime = lifetime
    events = EventStream(buffer: buffer, lifetime: lifetime)
  }

  /// Ends the request within a step; the stream then throws `cancelled`, unless it had finished.
  public func cancel() { lifetime.cancel() }

  /// Ends one sample, because a stop string matched: no more tokens of it come but those under way, and no finish of it.
  ///
  /// When every sample has ended, `finished` comes as ever.
  public func stop(sample: Int) {
    guard sample >= 0, sample < sampleCount else { return }
    let isNew = stoppedSamples.withLock { $0.insert(sample).inserted }
    if isNew { lifetime.mailbox.post(.stopSample(lifetime.key, sample: sample)) }
  }

  static func makeBuffer() -> EventBuffer<GenerationEvent> {
    EventBuffer { waiting, head, element in
      guard case .tokens(let sample, let tokens, let finish) = element else { return false }
      // Samples are independent, so a sample's tokens may join its earlier ones across those of others.
      for index in (head..<waiting.count).reversed() {
        if case .tokens(sample, var earlier, _) = waiting[index] {
          // Lets go of the old array first, so that it grows in place.
          waiting[index] = element
          earlier.append(contentsOf: tokens)
          waiting[index] = .tokens(sample: sample, tokens: earlier, finish: finish)
          return true
        }
      }
      return false
    }
  }
}
