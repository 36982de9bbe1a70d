/// Why a call to the directory failed, for metrics and the log.
public enum DirectoryFailure: String, Hashable, Sendable, CaseIterable {
  /// The server is away, or the connection broke.
  case connection
  /// No answer in time.
  case timeout
  /// What came was no reply that Redis gives, or too large.
  case malformed
  /// NOAUTH, WRONGPASS: user or password are wrong or missing.
  case authentication
  /// NOPERM: the user may not do this.
  case permission
  /// READONLY: the server is a replica.
  case readOnly = "read_only"
  /// LOADING: the server reads its data.
  case loading
  /// MASTERDOWN: the server is a replica without its master.
  case masterDown = "master_down"
  /// MOVED, ASK: the slot lies elsewhere, and following it led nowhere.
  case moved
  /// CLUSTERDOWN, TRYAGAIN, CROSSSLOT: the cluster does not serve the slot now.
  case clusterDown = "cluster_down"
  /// OOM: the server's memory is full.
  case outOfMemory = "out_of_memory"
  /// BUSY: a script runs for too long.
  case busy
  /// WRONGTYPE: somebody else's data lies under the key.
  case wrongType = "wrong_type"
  /// MISCONF, NOREPLICAS: the server takes no writes now.
  case writesRefused = "writes_refused"
  /// Too many commands wait already.
  case queueFull = "queue_full"
  /// Any other error.
  case other
}
