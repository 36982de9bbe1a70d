import ArgumentParser
import Foundation
import Logging
import Observability
import ServingTypes

/// The way from a command line to settings that were checked as a whole.
enum Launch {
  /// Reads settings, or throws one error that names every mistake.
  ///
  /// - Returns: nil when the effective configuration was asked for and has been printed.
  static func settings<Settings>(
    _ common: CommonOptions, logLevel: Logger.Level = .info, read: (inout ParameterReader) throws -> Settings
  ) throws -> (settings: Settings, reader: ParameterReader)? {
    var reader = try reader(common)
    let level = reader.choice("log_level", flag: common.logLevel, default: logLevel)
    let settings = try read(&reader)
    try reader.finish(known: knownKeys())
    if common.printConfig {
      print(yaml(reader.readings), terminator: "")
      return nil
    }
    LoggingSystem.bootstrap { label in JSONLogHandler(label: label, logLevel: level, metadataProvider: traced) }
    return (settings, reader)
  }

  /// The trace that a record belongs to, where it is made for a request.
  private static let traced = Logger.MetadataProvider {
    TraceContext.current.map { ["trace_id": "\($0.traceID)"] } ?? [:]
  }

  /// Says what this process runs with, once, secrets hidden.
  static func log(_ reader: ParameterReader, role: String, to logger: Logger) {
    let parameters = reader.readings.map { ($0.key, Logger.MetadataValue.string($0.text)) }
    let given = reader.readings.filter { $0.source != .builtIn }
      .map { ($0.key, Logger.MetadataValue.string($0.source.rawValue)) }
    logger.info(
      "configuration",
      metadata: [
        "role": .string(role),
        "parameters": .dictionary(Dictionary(uniqueKeysWithValues: parameters)),
        "given_by": .dictionary(Dictionary(uniqueKeysWithValues: given)),
      ])
  }

  private static func reader(_ common: CommonOptions) throws(ServingError) -> ParameterReader {
    var environment: [String: String] = [:]
    for (name, value) in ProcessInfo.processInfo.environment where name.hasPrefix("BATON_") {
      environment[name.dropFirst(6).lowercased()] = value
    }
    let path = common.config ?? environment.removeValue(forKey: "config")
    environment.removeValue(forKey: "config")
    return ParameterReader(environment: environment, file: try path.map(ConfigurationFile.init(path:)) ?? .init())
  }

  /// The names that any role reads, found by reading nothing with each of them.
  private static func knownKeys() throws -> Set<String> {
    var reader = ParameterReader()
    let model = try ModelOptions.parse([])
    let server = try ServerOptions.parse([])
    _ = reader.choice("log_level", flag: nil, default: Logger.Level.info)
    _ = WorkerSettings(
      role: .both, model: model, simulation: try SimulationOptions.parse([]), engine: try EngineOptions.parse([]),
      server: server, worker: try WorkerOptions.parse([]), &reader)
    _ = RouterSettings(model: model, server: server, router: try RouterOptions.parse([]), &reader)
    return reader.keys
  }

  /// The readings as a file that would give them again; what is unset stands as a comment.
  private static func yaml(_ readings: [ParameterReader.Reading]) -> String {
    readings.map { reading in
      if reading.text.isEmpty { return "# \(reading.key): not set\n" }
      let origin = reading.source == .builtIn ? "" : "  # \(reading.source.rawValue)"
      return "\(reading.key): \(quoted(reading.text))\(origin)\n"
    }.joined()
  }

  private static func quoted(_ text: String) -> String {
    let plain = text.allSatisfy { $0.isLetter || $0.isNumber || "._-/".contains($0) } && text.first != "-"
    return plain ? text : "\"" + text.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"") + "\""
  }
}
