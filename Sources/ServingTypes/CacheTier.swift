/// Where a cached block lies in its worker, from near to far.
public enum CacheTier: String, Hashable, Sendable, CaseIterable, Comparable {
  case device
  case host
  case file

  /// What finding a block here saves, as a share of computing it.
  public var reuseWeight: Double {
    switch self {
    case .device: 1
    case .host: 0.75
    case .file: 0.25
    }
  }

  public static func < (left: CacheTier, right: CacheTier) -> Bool { left.reuseWeight > right.reuseWeight }
}
