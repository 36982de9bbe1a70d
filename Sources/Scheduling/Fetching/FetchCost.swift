/// What fetching blocks from another worker takes, by measurement: seconds = latency + secondsPerBlock × blocks.
public struct FetchCost: Sendable {
  /// How much the newest fetch counts.
  private static let weight = 0.25
  /// How fast an estimate that keeps anybody from fetching is given up.
  private static let fading = 0.1

  public private(set) var latency: Double
  public private(set) var secondsPerBlock: Double
  private let initialLatency: Double
  private let initialSecondsPerBlock: Double

  /// What is assumed before anything was measured.
  public init(latency: Double = 0.005, secondsPerBlock: Double = 0.001) {
    self.latency = latency
    self.secondsPerBlock = secondsPerBlock
    initialLatency = latency
    initialSecondsPerBlock = secondsPerBlock
  }

  public func seconds(blocks: Int) -> Double { latency + secondsPerBlock * Double(blocks) }

  public mutating func observe(_ report: FetchReport) {
    if let measured = report.latency { latency += Self.weight * (measured - latency) }
    guard report.blocks > 0 else { return }
    secondsPerBlock += Self.weight * (report.seconds / Double(report.blocks) - secondsPerBlock)
  }

  /// Blocks that took too long to be measured. One holder that stalls says little of the others.
  public mutating func penalise(blocks: Int, seconds: Double) {
    let floor = max(secondsPerBlock, initialSecondsPerBlock)
    secondsPerBlock = max(secondsPerBlock, min(2 * floor, seconds / Double(max(1, blocks))))
  }

  /// Nobody fetched, because of the estimate: it would never be measured again.
  public mutating func fade() {
    latency -= Self.fading * max(0, latency - initialLatency)
    secondsPerBlock -= Self.fading * max(0, secondsPerBlock - initialSecondsPerBlock)
  }
}
