import DecodeServer
import Foundation
import ServingTypes

/// Everything that a worker's process reads.
struct WorkerSettings: Sendable {
  var role: WorkerRole
  var model: ModelSettings
  var engine: EngineSettings
  var server: ServerSettings
  var workerID: WorkerID
  /// Nil: the address that was bound.
  var advertise: String?
  /// Nil: the worker takes for granted that it works.
  var selfTest: SelfTestConfiguration?

  init(
    role: WorkerRole, model: ModelOptions, simulation: SimulationOptions, engine: EngineOptions, server: ServerOptions,
    worker: WorkerOptions, _ reader: inout ParameterReader
  ) {
    self.role = role
    self.model = ModelSettings(model, simulation: simulation, &reader)
    self.engine = EngineSettings(engine, &reader)
    let prefill = role == .prefill
    self.server = ServerSettings(
      server, listen: prefill ? "127.0.0.1:7071" : "127.0.0.1:7072",
      httpListen: prefill ? "127.0.0.1:8081" : "127.0.0.1:8082", &reader)
    let host = ProcessInfo.processInfo.hostName
    workerID = WorkerID(
      reader.string(
        "worker_id", flag: worker.workerID,
        default: "\(role.rawValue)-\(host)-\(ProcessInfo.processInfo.processIdentifier)"))
    let defaults = SelfTestConfiguration()
    let interval = reader.duration("self_test_interval", flag: worker.selfTestInterval, default: defaults.interval)
    let timeout = reader.positiveDuration("self_test_timeout", flag: worker.selfTestTimeout, default: defaults.timeout)
    selfTest = interval == .zero ? nil : SelfTestConfiguration(interval: interval, timeout: timeout)
    advertise = reader.optionalAddress("advertise", flag: worker.advertise)
    if advertise == nil && Self.isWildcard(self.server.listen) {
      reader.note(problem: "advertise is missing: others can't reach this worker at \(self.server.listen)")
    }
  }

  private static func isWildcard(_ address: String) -> Bool {
    address.hasPrefix("0.0.0.0:") || address.hasPrefix("[::]:")
  }
}
