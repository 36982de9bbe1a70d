/// What the connections to all servers count.
struct RedisServerCounts: Sendable {
  var isConnected = false
  var servers = 0
  var pendingCommands = 0
  var reconnects = 0
  var possibleLosses = 0
  var redirections = 0
  var topologyRefreshes = 0
}
