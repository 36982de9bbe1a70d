import GRPCCore
import ServingProtos
import ServingTypes

/// The standard health service: each server says which of its services serve.
///
/// The empty name stands for the whole server. A watcher always gets the newest status; ones in between may be skipped.
public final class HealthService: Grpc_Health_V1_Health.SimpleServiceProtocol {
  public enum Status: Hashable, Sendable {
    case serving
    case notServing

    fileprivate var wire: Grpc_Health_V1_HealthCheckResponse.ServingStatus {
      switch self {
      case .serving: .serving
      case .notServing: .notServing
      }
    }
  }

  /// The name under which a server says whether it moves at all. It outlasts `shutDown()`: a server that drains lives, and
  /// neither its callers nor a kubelet shall give it up.
  public static let liveness = "liveness"

  private typealias Wire = Grpc_Health_V1_HealthCheckResponse.ServingStatus

  private struct State {
    var statuses: [String: Status] = ["": .notServing]
    var watchers: [UInt64: (service: String, updates: AsyncStream<Wire>.Continuation)] = [:]
    var nextWatcher: UInt64 = 0
    var isShutDown = false
  }

  private let maxWatchers: Int
  private let state = Lock(State())

  /// - Parameter maxWatchers: further ones are refused with RESOURCE_EXHAUSTED.
  public init(maxWatchers: Int = 256) { self.maxWatchers = maxWatchers }

  /// Sets the status of one service, or of the whole server where the name is empty.
  public func set(_ status: Status, for service: String = "") {
    state.withLock { state in
      if state.isShutDown, service != Self.liveness { return }
      state.statuses[service] = status
      for watcher in state.watchers.values where watcher.service == service { watcher.updates.yield(status.wire) }
    }
  }

  /// Everything stops serving, for good: the server drains. Watchers are told, and their streams end, so that none of them
  /// holds the server up.
  public func shutDown() {
    state.withLock { state in
      for service in state.statuses.keys where service != Self.liveness { state.statuses[service] = .notServing }
      for watcher in state.watchers.values {
        if let status = state.statuses[watcher.service] { watcher.updates.yield(status.wire) }
        watcher.updates.finish()
      }
      state.isShutDown = true
    }
  }

  public func status(of service: String) -> Status? { state.withLock { $0.statuses[service] } }

  public func check(
    request: Grpc_Health_V1_HealthCheckRequest, context: ServerContext
  ) async throws -> Grpc_Health_V1_HealthCheckResponse {
    guard let status = status(of: request.service) else {
      throw ServingError(.notFound, "there is no service '\(request.service)' here")
    }
    return .with { $0.status = status.wire }
  }

  public func watch(
    request: Grpc_Health_V1_HealthCheckRequest,
    response: RPCWriter<Grpc_Health_V1_HealthCheckResponse>,
    context: ServerContext
  ) async throws {
    let (updates, continuation) = AsyncStream.makeStream(of: Wire.self, bufferingPolicy: .bufferingNewest(1))
    let identifier = state.withLock { state -> UInt64? in
      guard state.watchers.count < maxWatchers else { return nil }
      state.nextWatcher += 1
      state.watchers[state.nextWatcher] = (request.service, continuation)
      continuation.yield(state.statuses[request.service]?.wire ?? .serviceUnknown)
      if state.isShutDown { continuation.finish() }
      return state.nextWatcher
    }
    guard let identifier else {
      throw ServingError(
        .resourceExhausted, "\(maxWatchers) watchers are connected, which is the limit",
        retryAfter: .seconds(5))
    }
    defer { _ = state.withLock { $0.watchers.removeValue(forKey: identifier) } }
    var last: Wire?
    for await status in updates where status != last {
      last = status
      try await response.write(.with { $0.status = status })
    }
  }
}
