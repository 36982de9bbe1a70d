import LoadHarness

/// One request at a time, by turns straight to a decode worker and through a router.
struct RouterLatency: Encodable {
  /// Seconds to the first token.
  var direct: ClusterFigures.Spread
  var routed: ClusterFigures.Spread
  /// Seconds to the last token.
  var directWhole: ClusterFigures.Spread
  var routedWhole: ClusterFigures.Spread

  var addedMicroseconds: Double { (routed.p50 - direct.p50) * 1e6 }
  var addedWholeMicroseconds: Double { (routedWhole.p50 - directWhole.p50) * 1e6 }

  var line: String {
    func microseconds(_ seconds: Double) -> String { FigureText.decimal(seconds * 1e6, places: 0) }
    return "first token p50: direct \(microseconds(direct.p50)) µs, routed \(microseconds(routed.p50)) µs; p99:"
      + " \(microseconds(direct.p99)), \(microseconds(routed.p99)); last token p50: \(microseconds(directWhole.p50)),"
      + " \(microseconds(routedWhole.p50))"
  }
}
