/// Rows of logits whose memory is kept from step to step.
struct LogitRows: ~Copyable {
  private var buffer = UnsafeMutableBufferPointer<Float>.allocate(capacity: 0)
  private var count = 0
  private var width = 0

  deinit { buffer.deallocate() }

  var values: UnsafeBufferPointer<Float> { UnsafeBufferPointer(rebasing: buffer[..<count]) }

  /// Empty rows, with room for so many.
  mutating func reserve(_ rows: Int, width: Int) {
    self.width = width
    count = 0
    guard buffer.count < rows * width else { return }
    buffer.deallocate()
    buffer = .allocate(capacity: rows * width)
  }

  mutating func append(_ logit: (Int) -> Float) {
    for index in 0..<width { buffer[count + index] = logit(index) }
    count += width
  }
}
