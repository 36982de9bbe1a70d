/// What entered and left a worker's prefix cache since it was last asked.
public struct CacheChanges: Hashable, Sendable {
  /// `added` is everything that is resident, and whatever was announced before is void.
  public var isResync: Bool
  public var added: [CachedBlock]
  /// Descendants before ancestors, so that a lookup never finds a block whose parent was withdrawn first.
  public var removed: [CachedBlock]

  public init(isResync: Bool = false, added: [CachedBlock] = [], removed: [CachedBlock] = []) {
    self.isResync = isResync
    self.added = added
    self.removed = removed
  }

  public var isEmpty: Bool { !isResync && added.isEmpty && removed.isEmpty }
}
