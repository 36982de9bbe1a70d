import Observability

extension DirectoryStatistics {
  /// Writes everything under `directory_…`.
  public func collect(_ collector: MetricsCollector, now: ContinuousClock.Instant = .now) {
    collector.gauge("directory_connected", help: "1 while Redis answers.", isConnected ? 1 : 0)
    collector.gauge("directory_servers", help: "Redis servers that are asked.", servers)
    collector.gauge("directory_pending_commands", help: "Commands that wait for Redis.", pendingCommands)
    collector.counter("directory_errors", help: "Calls to the directory that failed.", errors)
    for failure in DirectoryFailure.allCases {
      collector.counter(
        "directory_failures", help: "Failures of the directory by kind.", failures[failure, default: 0],
        labels: [("kind", failure.rawValue)])
    }
    collector.counter("directory_reconnects", help: "Times that Redis was connected to again.", reconnects)
    collector.counter(
      "directory_redirections", help: "Redirections of a Redis Cluster that were followed.", redirections)
    collector.counter(
      "directory_topology_refreshes", help: "Times that a Redis Cluster's slots were asked for.", topologyRefreshes)
    collector.counter(
      "directory_possible_losses", help: "Times that a Redis server was restarted or replaced.", possibleLosses)
    collector.counter("directory_announced_blocks", help: "Blocks announced to the directory.", announcedBlocks)
    collector.counter("directory_withdrawn_blocks", help: "Blocks withdrawn from the directory.", withdrawnBlocks)
    collector.counter("directory_deleted_fields", help: "Expired fields that lookups removed.", deletedFields)
    if let last = lastSuccess {
      let staleness = last.duration(to: now)
      collector.gauge(
        "directory_staleness_seconds", help: "Time since the directory last answered.", staleness.inSeconds)
    }
    for (range, count) in lookupsBySlotRange.enumerated() {
      collector.counter(
        "directory_lookups_by_slot", help: "Lookups by sixteenth of the Redis Cluster slots.", count,
        labels: [("range", String(range))])
    }
  }
}
