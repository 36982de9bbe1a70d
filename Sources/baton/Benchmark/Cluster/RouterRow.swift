import LoadHarness

/// What a router did with many streams at once.
struct RouterRow: Encodable {
  /// How the clients called.
  var client: String
  var streams: Int
  var tokensPerSecond: Double
  /// What the workers offered; nil where they were as fast as they could.
  var offeredTokensPerSecond: Double?
  /// Processor time for each token.
  var routerMicrosecondsPerToken: Double
  var workerMicrosecondsPerToken: Double
  var clientMicrosecondsPerToken: Double
  /// Nil where messages are not counted.
  var tokensPerMessage: Double?
  /// Seconds between two messages of one stream.
  var gap: ClusterFigures.Spread?

  var line: String {
    let offered = offeredTokensPerSecond.map { " of \(FigureText.decimal($0, places: 0)) offered" } ?? ", flat out"
    let messages = tokensPerMessage.map { ", \(FigureText.of($0)) tokens a message" } ?? ""
    let gaps = gap.map { ", gaps p50 \(FigureText.of($0.p50 * 1000)) p99 \(FigureText.of($0.p99 * 1000)) ms" } ?? ""
    return
      "\(client), \(streams) streams: \(FigureText.decimal(tokensPerSecond, places: 0)) tokens/s\(offered)\(messages)\(gaps);"
      + " µs a token: router \(FigureText.of(routerMicrosecondsPerToken)), workers \(FigureText.of(workerMicrosecondsPerToken)),"
      + " client \(FigureText.of(clientMicrosecondsPerToken))"
  }
}
