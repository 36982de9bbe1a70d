import Synchronization

/// Who may touch a block of the pool on behalf of a copy that waits for its thread: the copy, once it has begun, or else
/// the engine, which may call the copy off until then.
///
/// So no copy keeps a block for longer than it takes to move its bytes within memory, however slow a disk is.
final class TierClaim: Sendable {
  private enum State {
    static let waiting: UInt8 = 0
    static let begun: UInt8 = 1
    static let revoked: UInt8 = 2
  }

  private let state = Atomic<UInt8>(State.waiting)

  /// The copy's thread, before it touches the block. False: it must not.
  func begin() -> Bool {
    state.compareExchange(expected: State.waiting, desired: State.begun, ordering: .acquiringAndReleasing).exchanged
  }

  /// The engine. True: the block is not touched any more, and nothing will be heard of the copy.
  func revoke() -> Bool {
    state.compareExchange(expected: State.waiting, desired: State.revoked, ordering: .acquiringAndReleasing).exchanged
  }

  var isRevoked: Bool { state.load(ordering: .acquiring) == State.revoked }
}
