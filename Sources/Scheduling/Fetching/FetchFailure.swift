/// Why blocks did not come from another worker. Each costs blocks that are computed, nothing else.
public enum FetchFailure: String, Error, Hashable, Sendable, CaseIterable {
  /// The holder, or the way to it, is gone.
  case unreachable
  /// The holder is in another incarnation, has another layout or no room.
  case refused
  /// What came is not what was asked for, or is damaged.
  case corrupt
  /// The holders had fewer blocks than was believed.
  case short
  /// It took so long that computing goes first.
  case slow
  /// The request ended, or others needed its blocks.
  case unwanted
}
