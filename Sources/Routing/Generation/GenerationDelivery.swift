import ServingTypes

/// What a caller does with each update of its request, in the task that carries it.
final class GenerationDelivery: Sendable {
  /// Given when the router can't finish its requests.
  let givenUp: Signal
  private let deliver: @Sendable (GenerationUpdate) async throws -> Void
  private let failed = Lock<(any Error)?>(nil)

  init(givenUp: Signal, deliver: @escaping @Sendable (GenerationUpdate) async throws -> Void) {
    self.givenUp = givenUp
    self.deliver = deliver
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
}
