import ClusterHarness
import Foundation

/// What the tests of whole processes need from the machine.
enum TestFiles {
  /// The baton binary: named by the variable, or the one built beside these tests.
  static let baton: String? = {
    let environment = ProcessInfo.processInfo.environment
    if let path = environment["BATON_TEST_BINARY"], isExecutable(path) { return path }
    let bundles = CommandLine.arguments.filter { $0.contains(".xctest") }
    for bundle in bundles {
      var folder = URL(filePath: bundle)
      while folder.path.contains(".xctest") { folder.deleteLastPathComponent() }
      let path = folder.appending(path: "baton").path
      if isExecutable(path) { return path }
    }
    return nil
  }()

  static let model = model(named: "SmolLM2-135M-Instruct.Q4_1.gguf")

  /// One of another vocabulary.
  static let otherModel = model(named: "gemma-3-270m.Q4_K_M.gguf")

  static let modelArguments = ["--model", model ?? "", "--served-model-name", "smollm2"]

  static let redis: String? = ClusterConfiguration.find("redis-server")

  /// A Python with grpcio, openai and aiohttp.
  static let python: String? = ProcessInfo.processInfo.environment["BATON_TEST_PYTHON"].flatMap {
    isExecutable($0) ? $0 : nil
  }

  static let canRunClusters = baton != nil && model != nil && redis != nil

  /// A file beside the tests.
  static func peer(_ name: String) -> String {
    URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().appending(path: "Peers/\(name)")
      .path
  }

  private static func model(named name: String) -> String? {
    let environment = ProcessInfo.processInfo.environment
    let cache = environment["BATON_CACHE"] ?? NSHomeDirectory() + "/.cache/baton"
    let path = (environment["BATON_MODELS"] ?? cache + "/models") + "/" + name
    return FileManager.default.fileExists(atPath: path) ? path : nil
  }

  private static func isExecutable(_ path: String) -> Bool { FileManager.default.isExecutableFile(atPath: path) }
}
