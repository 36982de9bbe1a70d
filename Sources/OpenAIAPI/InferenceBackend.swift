import Routing
import ServingTypes

/// What the HTTP API needs from the router.
public struct InferenceBackend: Sendable {
  /// Begins an answer. Cancelling the task, or letting go of the answer's updates, cancels it everywhere.
  public var generate: @Sendable (GenerationRequest) async throws -> RoutedGeneration
  /// The models that can be asked for now.
  public var models: @Sendable () async -> [ModelInformation]
  /// The bytes that a token of a model stands for, for log-probabilities.
  public var tokenBytes: @Sendable (_ model: String, TokenID) -> [UInt8]
  /// Ready with at least one live decode worker.
  public var readiness: @Sendable () async -> Readiness
  /// Fails when only a restart helps.
  public var liveness: @Sendable () async -> Readiness
  public var status: @Sendable () async -> StatusReport
  /// What the bodies of requests may take.
  public var bodies: BodyBudget

  public init(
    generate: @escaping @Sendable (GenerationRequest) async throws -> RoutedGeneration,
    models: @escaping @Sendable () async -> [ModelInformation],
    tokenBytes: @escaping @Sendable (_ model: String, TokenID) -> [UInt8],
    readiness: @escaping @Sendable () async -> Readiness,
    liveness: @escaping @Sendable () async -> Readiness = { .ready },
    status: @escaping @Sendable () async -> StatusReport = { StatusReport() },
    bodies: BodyBudget = BodyBudget(limit: RoutingConfiguration().maximumBodyBytesInFlight)
  ) {
    self.generate = generate
    self.models = models
    self.tokenBytes = tokenBytes
    self.readiness = readiness
    self.liveness = liveness
    self.status = status
    self.bodies = bodies
  }
}
