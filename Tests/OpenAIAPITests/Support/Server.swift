import Logging
import Observability
import OpenAIAPI

/// Runs a server over a scripted router while a test talks to it.
struct Server {
  let port: Int
  let registry: MetricsRegistry
  let router: ScriptedRouter

  static func run<Result: Sendable>(
    _ router: ScriptedRouter, configuration: OpenAIServerConfiguration = OpenAIServerConfiguration(),
    _ body: (Server) async throws -> Result
  ) async throws -> Result {
    var configuration = configuration
    configuration.listen.port = 0
    let registry = MetricsRegistry()
    let server = OpenAIServer(
      configuration: configuration, backend: router.backend, registry: registry, logger: quietLogger)
    return try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask { try await server.run() }
      group.addTask { await router.run() }
      defer { group.cancelAll() }
      return try await body(Server(port: try await server.boundPort.wait(), registry: registry, router: router))
    }
  }

  static var quietLogger: Logger {
    var logger = Logger(label: "test")
    logger.logLevel = .critical
    return logger
  }

  func post(_ path: String, _ body: String, headers: [String] = []) async throws -> Reply {
    try await Connection.open(to: port) { connection in
      try await connection.post(path, body, headers: headers)
      return try await connection.readReply()
    }
  }

  func get(_ path: String, method: String = "GET", headers: [String] = []) async throws -> Reply {
    try await Connection.open(to: port) { connection in
      let lines = ["\(method) \(path) HTTP/1.1", "Host: test"] + headers
      try await connection.send(lines.joined(separator: "\r\n") + "\r\n\r\n")
      return try await connection.readReply()
    }
  }

  func complete(_ body: String) async throws -> Reply { try await post("/v1/completions", body) }

  func chat(_ body: String) async throws -> Reply { try await post("/v1/chat/completions", body) }
}
