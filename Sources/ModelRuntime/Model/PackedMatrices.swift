import CKernels
import Glibc
import ServingTypes

/// The memory of packed matrices: one anonymous mapping, and their descriptions at addresses that stay.
final class PackedMatrices: @unchecked Sendable {  // safe: nothing changes once the weights are packed
  let byteCount: Int
  private let count: Int
  private let descriptions: UnsafeMutablePointer<k_matrix>
  private let base: UnsafeMutableRawPointer

  /// Maps memory for the planned matrices.
  init(_ planned: [k_matrix]) throws(ServingError) {
    var total = 0
    for var matrix in planned { total += k_matrix_bytes(&matrix) }
    let mapped = mmap(nil, max(total, 1), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
    guard let mapped, mapped != MAP_FAILED else {
      throw ServingError(.resourceExhausted, "cannot map \(total) bytes for the model's weights: errno \(errno)")
    }
    // Weights are read from end to end at each step: large pages save most of the address translation.
    madvise(mapped, max(total, 1), MADV_HUGEPAGE)
    base = mapped
    byteCount = total
    count = planned.count
    descriptions = .allocate(capacity: max(planned.count, 1))
    var next = mapped
    for (index, var matrix) in planned.enumerated() {
      k_matrix_bind(&matrix, next)
      next += k_matrix_bytes(&matrix)
      (descriptions + index).initialize(to: matrix)
    }
  }

  deinit {
    munmap(base, max(byteCount, 1))
    descriptions.deallocate()
  }

  func matrix(_ index: Int) -> UnsafePointer<k_matrix> {
    precondition(index < count, "no such matrix")
    return UnsafePointer(descriptions + index)
  }
}
