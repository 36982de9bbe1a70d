import ServingTypes

/// An answer that has begun.
public struct RoutedGeneration: Sendable {
  public var head: GenerationHead
  /// One consumer. It ends only after each sample's last output and the update with the usage.
  public var updates: GenerationUpdates

  public init(head: GenerationHead, updates: GenerationUpdates) {
    self.head = head
    self.updates = updates
  }
}
