import Glibc
import ServingTypes

/// The pool's memory: `blockCount` blocks of `blockBytes` each, committed page by page as it is first written.
///
/// Any thread may touch a block's bytes while it holds a pin on that block; the engine's thread orders everything else.
public final class BlockMemory: @unchecked Sendable {  // safe: pins guard the bytes
  public let blockBytes: Int
  public let blockCount: Int
  private let base: UnsafeMutableRawPointer

  public init(blockBytes: Int, blockCount: Int) throws(ServingError) {
    let (size, overflow) = blockBytes.multipliedReportingOverflow(by: blockCount)
    guard blockBytes > 0, blockCount > 0, !overflow else {
      throw ServingError(.invalidArgument, "a pool of \(blockCount) blocks of \(blockBytes) bytes is not possible")
    }
    let mapped = mmap(nil, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
    guard let mapped, mapped != MAP_FAILED else {
      throw ServingError(.resourceExhausted, "cannot map \(size) bytes for \(blockCount) blocks: errno \(errno)")
    }
    // A block is some hundred KiB: large pages take one fault where small ones take hundreds, and attention reads all over.
    madvise(mapped, size, MADV_HUGEPAGE)
    self.blockBytes = blockBytes
    self.blockCount = blockCount
    base = mapped
  }

  deinit { munmap(base, blockBytes * blockCount) }

  /// The block's bytes; they stay where they are for as long as the pool lives.
  public func bytes(of block: BlockID) -> UnsafeMutableRawBufferPointer {
    precondition(block >= 0 && Int(block) < blockCount, "block \(block) is outside the pool")
    return UnsafeMutableRawBufferPointer(start: base + Int(block) * blockBytes, count: blockBytes)
  }
}
