import ModelRuntime
import ServingTypes
import Synchronization

/// Keeps a block's bytes where and what they are until it is released, or gone. Any thread may release it.
final class BlockPin: Sendable {
  let block: BlockID
  let memory: BlockMemory
  private let mailbox: EngineMailbox
  private let isReleased = Atomic(false)

  /// The engine's thread has counted the pin already.
  init(block: BlockID, memory: BlockMemory, mailbox: EngineMailbox) {
    self.block = block
    self.memory = memory
    self.mailbox = mailbox
  }

  func release() {
    if !isReleased.exchange(true, ordering: .acquiringAndReleasing) { mailbox.release(block) }
  }

  deinit { release() }
}
