import GRPCCore
import ServingProtos
import ServingTypes

/// Asks servers that have fallen silent whether they live: a health check on the connection that their calls use.
///
/// Whoever asks while another asks the same server is told nothing, so that a server is asked once at a time, however many
/// calls wait for it. Any thread may call.
public final class LivenessProbes: Sendable {
  /// What is known of a server.
  public enum Verdict: Hashable, Sendable {
    case alive
    /// It did not answer in time, or said that only a restart helps.
    case dead
    /// Somebody else is asking.
    case pending
  }

  private enum Entry {
    case asking
    /// Good for as long after the answer as it may take at most.
    case answered(Bool, asked: ContinuousClock.Instant, at: ContinuousClock.Instant)
  }

  private struct Key: Hashable {
    var address: ServerAddress
    var purpose: ChannelPool.Purpose
  }

  /// Servers that are remembered.
  private static let capacity = 1024

  private let channels: ChannelPool
  private let timeout: Duration
  private let clock: ServingClock
  private let state = Lock([Key: Entry]())

  /// - Parameter timeout: how long a server may take to answer.
  public init(channels: ChannelPool, timeout: Duration, clock: ServingClock = .continuous) {
    self.clock = clock
    self.channels = channels
    self.timeout = timeout
  }

  /// What a server that has said nothing since `silence` is like.
  public func verdict(
    on address: ServerAddress, for purpose: ChannelPool.Purpose, silentSince silence: ContinuousClock.Instant
  ) async -> Verdict {
    let key = Key(address: address, purpose: purpose)
    let now = clock.now
    let known: Verdict? = state.withLock { state in
      switch state[key] {
      case .asking: return .pending
      // What was said before the silence says nothing of it.
      case .answered(let isAlive, let asked, let answered) where asked >= silence && answered + timeout > now:
        return isAlive ? .alive : .dead
      case .answered, nil: break
      }
      if state.count >= Self.capacity { state = state.filter { if case .asking = $0.value { true } else { false } } }
      state[key] = .asking
      return nil
    }
    if let known { return known }
    let isAlive = await ask(address, purpose)
    let answered = clock.now
    // Who was cancelled has learnt nothing.
    state.withLock { $0[key] = Task.isCancelled ? nil : .answered(isAlive, asked: now, at: answered) }
    return isAlive ? .alive : .dead
  }

  private func ask(_ address: ServerAddress, _ purpose: ChannelPool.Purpose) async -> Bool {
    do {
      let response = try await channels.withClient(of: address, for: purpose) { client in
        try await withCallDeadline(clock.now + timeout) {
          try await Grpc_Health_V1_Health.Client(wrapping: client).check(.with { $0.service = HealthService.liveness })
        }
      }
      return response.status != .notServing
    } catch let error as RPCError {
      // Any other refusal is an answer.
      guard [.unavailable, .deadlineExceeded, .cancelled, .unknown].contains(error.code) else { return true }
      // A half-open connection would swallow the next call, too.
      if !Task.isCancelled { channels.abandon(address, for: purpose) }
      return false
    } catch {
      return true
    }
  }
}
