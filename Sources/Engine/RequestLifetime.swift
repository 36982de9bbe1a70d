import ServingTypes
import Synchronization

/// Shared by a request's handle and its stream: when both are gone, so is the request.
final class RequestLifetime: Sendable {
  let key: UInt64
  let mailbox: EngineMailbox
  private let isCancelled = Atomic(false)

  init(key: UInt64, mailbox: EngineMailbox) {
    self.key = key
    self.mailbox = mailbox
  }

  /// Any number of calls send one command.
  func cancel() {
    if !isCancelled.exchange(true, ordering: .relaxed) { mailbox.post(.cancel(key)) }
  }

  deinit { cancel() }
}
