import ModelRuntime

/// The chunk that is computed in slices, as far as the steps need to know.
struct SliceProgress {
  private static let weight = 0.125

  var batch = ForwardBatch()
  /// What its pieces took so far.
  private(set) var seconds = 0.0
  /// What a piece took lately.
  private(set) var pieceSeconds = 0.0

  mutating func begin() {
    batch.removeAll()
    seconds = 0
  }

  mutating func note(_ piece: Double) {
    seconds += piece
    pieceSeconds += Self.weight * (piece - pieceSeconds)
  }
}
