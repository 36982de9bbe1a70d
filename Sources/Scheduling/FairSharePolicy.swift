/// How waiting requests of the same priority are shared among tenants.
public enum FairSharePolicy: String, Hashable, Sendable, CaseIterable {
  /// Not at all: `batch_scheduler_policy` alone decides.
  case none
  /// Tenants take turns, each for as many tokens; among a tenant's own requests `batch_scheduler_policy` decides.
  case deficitRoundRobin = "deficit_round_robin"
}
