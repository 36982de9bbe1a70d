import ModelRuntime

/// One kernel at one size: how long a call takes, and what share of the machine's limit that is.
struct KernelRow: Encodable {
  /// What a kernel's speed is held against.
  enum Limit: String, Encodable {
    case memory
    case l2
    case int8
    case f32
  }

  let name: String
  private let timing: Timing
  /// Bytes of weights, keys and values or rows, and operations (a multiplication and an addition are two), of one call.
  private let bytes: (count: Double, limit: Limit)?
  private let operations: (count: Double, limit: Limit)?
  /// The limit that is nearer, and what share of it the best call reaches.
  private(set) var limit: Limit?
  private(set) var share: Double?

  private enum CodingKeys: String, CodingKey {
    case name, samples, limit, share
    case bestMicroseconds = "best_us"
    case medianMicroseconds = "median_us"
    case gigabytesPerSecond = "gb_per_s"
    case gigaoperationsPerSecond = "gops"
  }

  init(
    _ name: String, _ timing: Timing, bytes: (count: Double, limit: Limit)? = nil,
    operations: (count: Double, limit: Limit)? = nil
  ) {
    self.name = name
    self.timing = timing
    self.bytes = bytes
    self.operations = operations
  }

  var gigabytesPerSecond: Double? { bytes.map { $0.count / timing.best / 1e9 } }
  var gigaoperationsPerSecond: Double? { operations.map { $0.count / timing.best / 1e9 } }

  /// The row with its share of what the machine can do.
  func compared(with roofline: Roofline, path: KernelPath) -> KernelRow {
    var row = self
    for (rate, kind) in [(gigabytesPerSecond, bytes?.limit), (gigaoperationsPerSecond, operations?.limit)] {
      guard let rate, let kind, let most = roofline.limit(kind, path), rate / most > row.share ?? 0 else { continue }
      (row.limit, row.share) = (kind, rate / most)
    }
    return row
  }

  func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(name, forKey: .name)
    try container.encode(timing.best * 1e6, forKey: .bestMicroseconds)
    try container.encode(timing.median * 1e6, forKey: .medianMicroseconds)
    try container.encode(timing.samples, forKey: .samples)
    try container.encodeIfPresent(gigabytesPerSecond, forKey: .gigabytesPerSecond)
    try container.encodeIfPresent(gigaoperationsPerSecond, forKey: .gigaoperationsPerSecond)
    try container.encodeIfPresent(limit, forKey: .limit)
    try container.encodeIfPresent(share, forKey: .share)
  }

  static let heading =
    "kernel".padded(to: 54) + "   best µs  median µs      GB/s      GOPS   share of limit"

  var line: String {
    func column(_ value: Double?, _ digits: Int) -> String { value.map { $0.text(10, digits) } ?? "         –" }
    let against = share.map { ($0 * 100).text(6, 1) + " % " + (limit?.rawValue ?? "") } ?? ""
    return name.padded(to: 54) + (timing.best * 1e6).text(10, 1) + (timing.median * 1e6).text(11, 1)
      + column(gigabytesPerSecond, 1) + column(gigaoperationsPerSecond, 1) + against
  }
}
