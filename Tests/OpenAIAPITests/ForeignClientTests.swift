import Foundation
import OpenAIAPI
import Routing
import ServingTypes
import Testing

/// What OpenAI's own Python client makes of the server, where one is installed (`BATON_TEST_PYTHON`).
@Suite(.timeLimit(.minutes(3))) struct ForeignClientTests {
  private static let python = ProcessInfo.processInfo.environment["BATON_TEST_PYTHON"]

  @Test(.enabled(if: python != nil, "BATON_TEST_PYTHON names no Python with openai and prometheus-client"))
  func openAIsClientUnderstandsEveryAnswer() async throws {
    let router = ScriptedRouter(
      begin: { request in
        switch request.prompt {
        case .text("busy"): throw ServingError(.resourceExhausted, "all workers are full")
        case .text("missing"): throw ServingError(.notFound, "there is no such model")
        case .text("gone"): throw ServingError(.unavailable, "no worker is live")
        default: break
        }
      },
      script: { request, sink in
        switch request.prompt {
        case .text("break"):
          try await sink.send(GenerationUpdate(outputs: [SampleOutput(sample: 0, text: "begun")]))
          throw ServingError(.unavailable, "every worker is gone")
        case .text("endless"):
          while true { try await sink.send(GenerationUpdate(outputs: [SampleOutput(sample: 0, text: "more")])) }
        default: try await ScriptedRouter.say(["Grüße", " 🎈", "."])(request, sink)
        }
      })
    let configuration = OpenAIServerConfiguration(apiKeys: ["sesame"])
    try await Server.run(router, configuration: configuration) { server in
      server.registry.gauge("strange", help: "a\nb", labels: [("path", "C:\\ \"q\"\n")]).set(1)
      let script = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Clients/client.py")
      let (status, output) = try await run(Self.python ?? "", [script.path(), String(server.port)])
      #expect(status == 0, "\(output)")
      try await router.waitForCancellations(1)
    }
  }

  private func run(_ program: String, _ arguments: [String]) async throws -> (Int32, String) {
    let process = Process()
    process.executableURL = URL(filePath: program)
    process.arguments = arguments
    let file = FileManager.default.temporaryDirectory.appending(path: "baton-client-\(UUID().uuidString).log")
    _ = FileManager.default.createFile(atPath: file.path(), contents: nil)
    defer { try? FileManager.default.removeItem(at: file) }
    let handle = try FileHandle(forWritingTo: file)
    process.standardOutput = handle
    process.standardError = handle
    let status = try await withCheckedThrowingContinuation { continuation in
      process.terminationHandler = { continuation.resume(returning: $0.terminationStatus) }
      do { try process.run() } catch { continuation.resume(throwing: error) }
    }
    return (status, try String(contentsOf: file, encoding: .utf8))
  }
}
