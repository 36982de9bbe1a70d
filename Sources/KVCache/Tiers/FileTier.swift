import Glibc
import ServingTypes

/// Blocks in a sparse file of its own.
///
/// The file loses its name as soon as it is open, so that its space is free again once the process has ended, however.
public final class FileTier: BlockTier {
  public let capacity: Int
  public let mayBlock = true
  private let blockBytes: Int
  private let slotBytes: Int
  private let descriptor: Int32

  /// - Throws: `failedPrecondition` that names the folder when no file can be written there.
  public init(folder: String, blockBytes: Int, byteLimit: Int) throws(ServingError) {
    self.blockBytes = blockBytes
    // Whole pages: no two slots share one.
    slotBytes = (BlockStamp.byteCount + blockBytes + 4095) / 4096 * 4096
    capacity = min(byteLimit / slotBytes, Int(Int32.max) - 1)
    guard capacity > 0 else {
      throw ServingError(.invalidArgument, "offload_space is \(byteLimit) bytes; one block takes \(slotBytes)")
    }
    let path = folder + "/baton-\(getpid())-\(UInt64.random(in: 0...UInt64.max)).kv"
    let opened = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
    guard opened >= 0 else {
      throw ServingError(
        .failedPrecondition, "offload_dir \(folder): no file can be created there: \(String(cString: strerror(errno)))")
    }
    unlink(path)
    guard ftruncate(opened, off_t(capacity * slotBytes)) == 0 else {
      let reason = String(cString: strerror(errno))
      close(opened)
      throw ServingError(
        .failedPrecondition, "offload_dir \(folder): no file of \(capacity * slotBytes) bytes is possible: \(reason)")
    }
    descriptor = opened
  }

  deinit { close(descriptor) }

  public func write(_ stamp: BlockStamp, _ bytes: UnsafeRawBufferPointer, to slot: Int) throws(TierFailure) {
    try withUnsafeTemporaryAllocation(byteCount: BlockStamp.byteCount, alignment: 8) { header throws(TierFailure) in
      stamp.store(in: header)
      // The stamp comes last, so that what was written by half is no block.
      try put(bytes, at: slot * slotBytes + BlockStamp.byteCount)
      try put(UnsafeRawBufferPointer(header), at: slot * slotBytes)
    }
  }

  public func read(from slot: Int, into bytes: UnsafeMutableRawBufferPointer) throws(TierFailure) -> BlockStamp {
    let stamp = try withUnsafeTemporaryAllocation(byteCount: BlockStamp.byteCount, alignment: 8) {
      header throws(TierFailure) in
      try get(header, at: slot * slotBytes)
      return BlockStamp(UnsafeRawBufferPointer(header))
    }
    guard let stamp else { throw .corrupt }
    try get(bytes, at: slot * slotBytes + BlockStamp.byteCount)
    return stamp
  }

  private func put(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(TierFailure) {
    var done = 0
    while done < bytes.count {
      let count = pwrite(descriptor, bytes.baseAddress.map { $0 + done }, bytes.count - done, off_t(offset + done))
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { throw [ENOSPC, EDQUOT, EFBIG].contains(errno) ? .full : .unavailable }
      done += count
    }
  }

  private func get(_ bytes: UnsafeMutableRawBufferPointer, at offset: Int) throws(TierFailure) {
    var done = 0
    while done < bytes.count {
      let count = pread(descriptor, bytes.baseAddress.map { $0 + done }, bytes.count - done, off_t(offset + done))
      if count < 0, errno == EINTR { continue }
      guard count >= 0 else { throw .unavailable }
      guard count > 0 else { throw .truncated }
      done += count
    }
  }
}
