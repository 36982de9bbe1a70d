import CKernels

/// CRC-32C (Castagnoli) of a block's bytes, taken when the block is sealed and carried with it through streams and tiers.
public func blockChecksum(_ bytes: UnsafeRawBufferPointer) -> UInt32 {
  k_crc32c(0, bytes.baseAddress, bytes.count)
}
