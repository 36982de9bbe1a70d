import Routing
import ServingTypes

/// One client of a schedule: what it asks, when, and how long it stays.
struct PlannedRequest: Sendable {
  var id: Int
  var prompt: [TokenID]
  var sampling: SamplingParameters
  var salt: String
  /// After the schedule's start.
  var start: Duration
  /// After its own start.
  var deadline: Duration
  /// When the client goes away, after its own start; nil: it stays.
  var leaves: Duration?
  /// What the client needs for each update.
  var reading: Duration
  /// Whether it is carried in the client's own task, as gRPC's are, and not as a sequence, as HTTP's.
  var isDelivered: Bool
}
