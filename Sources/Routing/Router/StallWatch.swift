import Directory
import RPC
import ServingTypes

/// Tells a worker that is dead, or cannot be reached, from one that only has nothing to say yet.
///
/// A connection may stay open though nobody answers: the process is stopped, its machine or the network is gone, its engine
/// stands still. A worker that queues a request or computes its prompt is as silent, but it answers when it is asked.
struct StallWatch: Sendable {
  let registry: WorkerRegistry
  let probes: LivenessProbes
  let limit: Duration
  let clock: ServingClock

  /// Watches one stream until the task is cancelled.
  ///
  /// - Throws: `unavailable` once the worker has been silent for longer than the limit (half of it where its lease is gone or it
  ///   is suspected) and does not answer, or once another life of it has taken its place.
  func run(_ silence: StreamSilence, of worker: WorkerReference, at address: ServerAddress) async throws {
    // Switched off.
    if limit <= .zero { return try await clock.sleep(for: .seconds(Int32.max)) }
    while true {
      let now = clock.now
      let standing = registry.standing(of: worker)
      let limit = standing == .good ? limit : limit / 2
      if let since = silence.since, since + limit <= now {
        if standing == .replaced, silence.giveUp(silentSince: since) {
          throw ServingError(.unavailable, "worker '\(worker.id)' has begun another life")
        }
        // A lease that is gone proves nothing, since the directory may have lost it: the worker itself is asked.
        if await probes.verdict(on: address, for: .tokens, silentSince: since) == .dead {
          try Task.checkCancellation()
          guard silence.giveUp(silentSince: since) else { continue }
          throw ServingError(
            .unavailable, "worker '\(worker.id)' has been silent for \((now - since).inSeconds) s and does not answer")
        }
      }
      // A quarter: a worker that falls silent right after a look is found soon after its time.
      try await clock.sleep(for: limit / 4)
    }
  }
}
