import CKernels

/// A set of instructions that the kernels are written for. All paths give the same bits.
public enum KernelPath: String, Hashable, Sendable, CaseIterable {
  case portable
  case avx2
  case avx512

  private var raw: k_path {
    switch self {
    case .portable: K_PATH_PORTABLE
    case .avx2: K_PATH_AVX2
    case .avx512: K_PATH_AVX512
    }
  }

  /// The path's kernels; nil where this processor cannot run them.
  package var kernels: UnsafePointer<k_kernels>? { k_kernels_for(raw) }

  /// Whether this processor can run the path.
  public var isSupported: Bool { kernels != nil }

  /// The fastest path that this processor can run.
  public static var best: KernelPath { allCases.last { $0.isSupported } ?? .portable }
}
