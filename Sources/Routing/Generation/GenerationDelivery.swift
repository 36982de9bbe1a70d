import ServingTypes

/// What a caller does with each update of its request, in the task that carries it or beside it.
final class GenerationDelivery: Sendable {
  /// Given when the router can't finish its requests.
  let givenUp: Signal
  private let deliver: @Sendable (GenerationUpdate) async throws -> Void
  private let deliverNow: @Sendable (GenerationUpdate) -> Bool
  private let failed = Lock<(any Error)?>(nil)

  /// - Parameter deliverNow: does the same without waiting; false where it can't, and has done nothing.
  init(
    givenUp: Signal, deliver: @escaping @Sendable (GenerationUpdate) async throws -> Void,
    deliverNow: @escaping @Sendable (GenerationUpdate) -> Bool
  ) {
    self.givenUp = givenUp
    self.deliver = deliver
    self.deliverNow = deliverNow
  }

  /// Why the caller could not take an update, which ends the request; not where its waiting was ended from here.
  var failure: (any Error)? { failed.withLock { $0 } }

  func send(_ update: GenerationUpdate) async throws(ServingError) {
    do {
      try await deliver(update)
    } catch {
      if !givenUp.isGiven { failed.withLock { $0 = error } }
      throw ServingError(.cancelled, "the request was cancelled by its caller")
    }
  }

  func sendNow(_ update: GenerationUpdate) -> Bool { deliverNow(update) }
}
