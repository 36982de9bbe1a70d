/// Work of some requests on one worker, in blocks.
public struct InFlightWork: Hashable, Sendable {
  /// Of prompts still to be computed.
  public var prefillBlocks: Double
  /// Held by requests under way.
  public var activeBlocks: Double

  public init(prefillBlocks: Double = 0, activeBlocks: Double = 0) {
    self.prefillBlocks = prefillBlocks
    self.activeBlocks = activeBlocks
  }

  static func += (left: inout InFlightWork, right: InFlightWork) {
    left.prefillBlocks += right.prefillBlocks
    left.activeBlocks += right.activeBlocks
  }
}
