import Directory
import RPC
import ServingTypes

/// Tells a worker that is dead, or cannot be reached, from one that only has nothing to say yet; and ends what takes longer than
/// its request may.
///
/// A connection may stay open though nobody answers: the process is stopped, its machine or the network is gone, its engine
/// stands still. A worker that queues a request or computes its prompt is as silent, but it answers when it is asked.
/// One loop looks at all streams: a timer for each would cost more than the rest of opening it. `run()` must be running.
final class StallWatch: Sendable {
  private final class Stream: Sendable {
    let silence: StreamSilence
    let worker: WorkerReference
    let address: ServerAddress
    let deadline: ContinuousClock.Instant
    /// Why it was given up; nil when nobody waits for it any more.
    let end = Arrival<ServingError?>()
    let isLookedAt = Lock(false)

    init(
      _ silence: StreamSilence, of worker: WorkerReference, at address: ServerAddress,
      until deadline: ContinuousClock.Instant
    ) {
      self.silence = silence
      self.worker = worker
      self.address = address
      self.deadline = deadline
    }
  }

  private struct State {
    var streams: [UInt64: Stream] = [:]
    var next: UInt64 = 0
  }

  private let registry: WorkerRegistry
  private let probes: LivenessProbes
  private let limit: Duration
  private let clock: ServingClock
  private let state = Lock(State())

  /// - Parameter limit: how long a worker may be silent before it is asked; zero switches the watch off.
  init(registry: WorkerRegistry, probes: LivenessProbes, limit: Duration, clock: ServingClock) {
    self.registry = registry
    self.probes = probes
    self.limit = limit
    self.clock = clock
  }

  /// Watches one stream until the task is cancelled.
  ///
  /// - Parameter deadline: when it must have ended: the worker's call does by itself, but not a wait for a client that does
  ///   not read.
  /// - Throws: `unavailable` once the worker has been silent for longer than the limit (half of it where its lease is gone or it
  ///   is suspected) and does not answer, or once another life of it has taken its place; `deadlineExceeded` after the deadline.
  func watch(
    _ silence: StreamSilence, of worker: WorkerReference, at address: ServerAddress,
    until deadline: ContinuousClock.Instant
  ) async throws {
    let stream = Stream(silence, of: worker, at: address, until: deadline)
    let ticket = state.withLock { state in
      state.next += 1
      state.streams[state.next] = stream
      return state.next
    }
    defer { state.withLock { _ = $0.streams.removeValue(forKey: ticket) } }
    let failure = await withTaskCancellationHandler {
      await stream.end.value()
    } onCancel: {
      stream.end.arrive(nil)
    }
    throw failure ?? CancellationError()
  }

  /// Looks at the streams, until the task is cancelled.
  func run() async {
    // A quarter of what a suspect gets: a worker that falls silent right after a look is found soon after its time. Deadlines
    // shall be kept nearly as well where the limit is long, or there is none.
    let pause = limit > .zero ? min(max(limit / 8, .milliseconds(5)), .seconds(1)) : .seconds(1)
    await withDiscardingTaskGroup { group in
      while true {
        do { try await clock.sleep(for: pause) } catch { return }
        let now = clock.now
        // In their order: a simulation must be the same each time.
        let streams = state.withLock { $0.streams.sorted { $0.key < $1.key }.map(\.value) }
        for stream in streams {
          if stream.deadline <= now {
            stream.end.arrive(ServingError(.deadlineExceeded, "the request's deadline has passed"))
          }
          guard limit > .zero, !stream.end.hasArrived, let since = stream.silence.since, since <= now - limit / 2,
            stream.isLookedAt.withLock({ isLookedAt in
              defer { isLookedAt = true }
              return !isLookedAt
            })
          else { continue }
          group.addTask {
            await self.look(at: stream, silentSince: since)
            stream.isLookedAt.withLock { $0 = false }
          }
        }
      }
    }
  }

  private func look(at stream: Stream, silentSince since: ContinuousClock.Instant) async {
    let worker = stream.worker
    let now = clock.now
    let standing = registry.standing(of: worker)
    guard since + (standing == .good ? limit : limit / 2) <= now else { return }
    if standing == .replaced, stream.silence.giveUp(silentSince: since) {
      return stream.end.arrive(ServingError(.unavailable, "worker '\(worker.id)' has begun another life"))
    }
    // A lease that is gone proves nothing, since the directory may have lost it: the worker itself is asked.
    guard await probes.verdict(on: stream.address, for: .tokens, silentSince: since) == .dead, !Task.isCancelled,
      stream.silence.giveUp(silentSince: since)
    else { return }
    stream.end.arrive(
      ServingError(
        .unavailable, "worker '\(worker.id)' has been silent for \((now - since).inSeconds) s and does not answer"))
  }
}
