import GRPCCore
import GRPCTransport
import ServingTypes

/// One direction of a call, as its reader and its writer see it: what arrived in order, and how it ended.
final class SimulatedPipe: Sendable {
  private struct State {
    var arrived: [Part] = []
    /// Parcels under way. They hold on to the memory that was lent to them.
    var underWay: [Int: [Part]] = [:]
    var nextParcel = 0
    var inFlight = 0
    var hasEnded = false
    /// Why it broke; told after what arrived.
    var failure: RPCError?
    var isWriterStopped = false
    var lastArrival: ContinuousClock.Instant?
    var stalledUntil: ContinuousClock.Instant?
  }

  private let state = Lock(State())
  private let reader = WaitingPlace()
  private let writer = WaitingPlace()
  /// Parcels that may be under way or unread.
  private let window: Int
  private let arrivals: ArrivalHandler?

  /// - Parameter arrivals: is offered each message that the reader waits for.
  init(window: Int, arrivals: ArrivalHandler? = nil) {
    self.window = window
    self.arrivals = arrivals
  }

  // MARK: The network's side

  /// When a parcel arrives that leaves now: never before one that left earlier.
  func arrival(now: ContinuousClock.Instant, delay: Duration) -> ContinuousClock.Instant {
    state.withLock { state in
      var time = now + delay
      if let last = state.lastArrival { time = max(time, last) }
      if let stalled = state.stalledUntil { time = max(time, stalled) }
      state.lastArrival = time
      return time
    }
  }

  func stall(until time: ContinuousClock.Instant) { state.withLock { $0.stalledUntil = time } }

  func depart(_ parts: [Part]) -> Int {
    state.withLock { state in
      state.nextParcel += 1
      state.underWay[state.nextParcel] = parts
      return state.nextParcel
    }
  }

  func arrive(_ parcel: Int, isEnd: Bool) {
    let dropped: [Part]? = state.withLock { state in
      state.inFlight -= 1
      let parts = state.underWay.removeValue(forKey: parcel)
      guard let parts, !state.hasEnded, state.failure == nil else { return parts }
      state.arrived += parts
      if isEnd { state.hasEnded = true }
      return nil
    }
    // Lent memory goes back outside of the lock.
    _ = dropped
    if !offerMessage() { reader.wake() }
  }

  /// One thread runs all: nothing resumes the reader meanwhile.
  private func offerMessage() -> Bool {
    guard let arrivals, reader.isTaken else { return false }
    let message = state.withLock { state -> GRPCBytes? in
      guard state.arrived.count == 1, case .message(let bytes) = state.arrived[0] else { return nil }
      return bytes
    }
    guard let message, arrivals.handle(message) else { return false }
    state.withLock { _ = $0.arrived.removeFirst() }
    writer.wake()
    return true
  }

  /// A parcel is gone for good.
  func lose() { state.withLock { $0.inFlight -= 1 } }

  /// Nobody will read it any more.
  func clear() {
    let dropped = state.withLock { state in
      defer {
        state.arrived = []
        state.underWay = [:]
      }
      return (state.arrived, state.underWay)
    }
    _ = dropped
  }

  /// Nothing more arrives: the reader learns why, once it has read what did. The first reason counts.
  func fail(_ error: RPCError) {
    state.withLock { state in
      if state.failure == nil, !state.hasEnded { state.failure = error }
      state.isWriterStopped = true
    }
    reader.wake()
    writer.wake()
  }

  /// What is written from now on is refused.
  func stopWriter() {
    state.withLock { $0.isWriterStopped = true }
    writer.wake()
  }

  // MARK: The reader's and the writer's side

  /// - Throws: what broke the direction; `cancelled` when the task is.
  func next() async throws(RPCError) -> Part? {
    while true {
      let (part, isOver, failure): (Part?, Bool, RPCError?) = state.withLock { state in
        if !state.arrived.isEmpty { return (state.arrived.removeFirst(), false, nil) }
        return (nil, state.hasEnded, state.failure)
      }
      if let part {
        writer.wake()
        return part
      }
      if let failure { throw failure }
      if isOver { return nil }
      if Task.isCancelled { throw RPCError(code: .cancelled, message: "the task that reads the stream was cancelled") }
      await reader.wait()
    }
  }

  /// Takes a place for a parcel.
  ///
  /// - Returns: false when the call is over.
  /// - Throws: `cancelled` when the task is.
  func waitForRoom() async throws(RPCError) -> Bool {
    while true {
      if Task.isCancelled { throw RPCError(code: .cancelled, message: "the task that writes the stream was cancelled") }
      let hasRoom: Bool? = state.withLock { state in
        if state.isWriterStopped { return false }
        guard state.inFlight + state.arrived.count < window else { return nil }
        state.inFlight += 1
        return true
      }
      if let hasRoom { return hasRoom }
      await writer.wait()
    }
  }

  /// As `waitForRoom`, for what may always be sent: the end.
  func takeRoom() -> Bool {
    state.withLock { state in
      if state.isWriterStopped { return false }
      state.inFlight += 1
      return true
    }
  }
}
