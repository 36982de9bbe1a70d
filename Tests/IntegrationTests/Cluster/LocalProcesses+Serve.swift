import ClusterHarness

extension LocalProcesses {
  /// Starts one process that does everything.
  func serve(arguments: [String] = []) async throws -> LocalProcess {
    let own = ["--listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0", "--num-blocks", "1500"]
    let server = add(
      "serve", executable: TestFiles.baton ?? "",
      arguments: ["serve"] + TestFiles.modelArguments + own + ["--check-integrity-on-idle"] + arguments)
    try server.start()
    try await server.waitUntilReady()
    return server
  }
}
