import Glibc
import ServingTypes

/// Blocks in host memory, committed page by page as slots are first used.
public final class HostTier: BlockTier, @unchecked Sendable {  // safe: a slot is used by one thread at a time
  public let capacity: Int
  public let mayBlock = false
  private let blockBytes: Int
  private let slotBytes: Int
  private let base: UnsafeMutableRawPointer

  /// - Throws: `resourceExhausted` when so much address space cannot be had.
  public init(blockBytes: Int, byteLimit: Int) throws(ServingError) {
    self.blockBytes = blockBytes
    slotBytes = (BlockStamp.byteCount + blockBytes + 63) / 64 * 64
    capacity = min(byteLimit / slotBytes, Int(Int32.max) - 1)
    guard capacity > 0 else {
      throw ServingError(
        .invalidArgument, "swap_space is \(byteLimit) bytes; one block takes \(slotBytes): raise it, or 0 for none")
    }
    let size = capacity * slotBytes
    let mapped = mmap(nil, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
    guard let mapped, mapped != MAP_FAILED else {
      throw ServingError(.resourceExhausted, "cannot map \(size) bytes for swap_space: errno \(errno)")
    }
    base = mapped
  }

  deinit { munmap(base, capacity * slotBytes) }

  private func stamp(_ slot: Int) -> UnsafeMutableRawBufferPointer {
    precondition(slot >= 0 && slot < capacity, "slot \(slot) is outside the tier")
    return UnsafeMutableRawBufferPointer(start: base + slot * slotBytes, count: BlockStamp.byteCount)
  }

  private func payload(_ slot: Int) -> UnsafeMutableRawBufferPointer {
    UnsafeMutableRawBufferPointer(start: base + slot * slotBytes + BlockStamp.byteCount, count: blockBytes)
  }

  public func write(_ stamp: BlockStamp, _ bytes: UnsafeRawBufferPointer, to slot: Int) throws(TierFailure) {
    stamp.store(in: self.stamp(slot))
    payload(slot).copyMemory(from: bytes)
  }

  public func read(from slot: Int, into bytes: UnsafeMutableRawBufferPointer) throws(TierFailure) -> BlockStamp {
    guard let stamp = BlockStamp(UnsafeRawBufferPointer(stamp(slot))) else { throw .corrupt }
    bytes.copyMemory(from: UnsafeRawBufferPointer(payload(slot)))
    return stamp
  }
}
