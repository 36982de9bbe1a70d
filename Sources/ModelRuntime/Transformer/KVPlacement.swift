import CKernels
import ServingTypes

/// Where a layer's keys and values lie in a block, as `KVLayout` describes it.
struct KVPlacement {
  let pool: UnsafeMutablePointer<UInt8>
  let blockBytes: Int
  let blockSize: Int
  let dtype: k_kv_dtype
  private let planeBytes: Int

  init(memory: BlockMemory, layout: KVLayout) throws(ServingError) {
    guard let base = memory.bytes(of: 0).baseAddress else {
      throw ServingError(.internalError, "the pool has no memory")
    }
    pool = base.assumingMemoryBound(to: UInt8.self)
    blockBytes = memory.blockBytes
    blockSize = layout.blockSize
    let group = layout.groups[0]
    planeBytes = group.kvHeads * blockSize * (group.headSize * group.dtype.elementBytes + group.dtype.scaleBytes)
    switch group.dtype {
    case .f32: dtype = K_KV_F32
    case .f16: dtype = K_KV_F16
    case .bf16: dtype = K_KV_BF16
    case .fp8: dtype = K_KV_FP8
    case .int8: dtype = K_KV_INT8
    }
  }

  func keysOffset(layer: Int) -> Int { layer * 2 * planeBytes }
  func valuesOffset(layer: Int) -> Int { (layer * 2 + 1) * planeBytes }
}
