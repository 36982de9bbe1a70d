/// A tenant's account while any request of it is there.
final class TenantShare {
  let tenant: String
  /// Tokens that it may still be given in its turn; below 0 after a request that cost more than was left.
  var deficit = 0
  /// Requests that have not ended.
  var groups = 0
  /// Its sequences in the queue.
  var waiting = 0
  /// Quanta that had been given out when it last had something in the queue.
  var round = 0

  // A plan's scratch.
  var planned = 0
  var queue: [Sequence] = []
  var head = 0

  init(tenant: String) { self.tenant = tenant }
}
