import CKernels

/// CRC-32C (Castagnoli) of a block's bytes, taken when the block is sealed and carried with it through streams and tiers.
///
/// - Parameter checksum: of the bytes before these.
public func blockChecksum(_ bytes: UnsafeRawBufferPointer, after checksum: UInt32 = 0) -> UInt32 {
  k_crc32c(checksum, bytes.baseAddress, bytes.count)
}
