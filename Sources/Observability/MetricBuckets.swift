/// Bucket bounds for the quantities that several parts measure, so that their histograms can be compared.
public enum MetricBuckets {
  /// Seconds to the first token, or waited in a queue.
  public static let timeToFirstToken: [Double] = [
    0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80,
  ]
  /// Seconds between two tokens.
  public static let interTokenLatency: [Double] = [
    0.001, 0.0025, 0.005, 0.01, 0.015, 0.02, 0.025, 0.03, 0.04, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1,
    2.5,
  ]
  /// Seconds of one engine step.
  public static let step: [Double] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1, 2.5,
  ]
  /// Seconds of a whole request.
  public static let request: [Double] = [
    0.05, 0.1, 0.25, 0.5, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 60, 120, 240, 480,
  ]
  /// Seconds of a call to the directory, or of one block's transfer.
  public static let call: [Double] = [
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5,
  ]
  /// Seconds of a choice among workers.
  public static let decision: [Double] = [
    0.00001, 0.00002, 0.00003, 0.00005, 0.000075, 0.0001, 0.00015, 0.0002, 0.0003, 0.0005, 0.001, 0.0025, 0.005, 0.01,
  ]
  /// Tokens in a prompt or an answer.
  public static let tokens: [Double] = [
    1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768, 65536, 131072,
  ]
}
