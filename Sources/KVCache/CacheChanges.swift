import ServingTypes

/// What entered and left a prefix cache since it was last asked.
public struct CacheChanges: Hashable, Sendable {
  /// The log overflowed: forget what was said before, `added` is everything that is resident.
  public var isResync: Bool
  /// Ancestors before descendants.
  public var added: [CachedBlock]
  /// Descendants before ancestors.
  public var removed: [CachedBlock]

  public init(isResync: Bool = false, added: [CachedBlock] = [], removed: [CachedBlock] = []) {
    self.isResync = isResync
    self.added = added
    self.removed = removed
  }
}
