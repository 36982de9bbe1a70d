import ClusterHarness

extension ClusterConfiguration {
  /// Workers that compute digests instead of a model.
  ///
  /// - Parameter arguments: of every worker.
  static func simulated(
    routers: Int = 1, prefill: Int = 1, decode: Int = 1, model: String = "free", arguments: [String] = []
  ) -> ClusterConfiguration {
    var configuration = ClusterConfiguration(binary: TestFiles.baton ?? "", model: ["--simulate", model])
    (configuration.routers, configuration.prefill, configuration.decode) = (routers, prefill, decode)
    configuration.arguments = { role, _ in
      role == .router || role == .redis ? [] : ["--check-integrity-on-idle"] + arguments
    }
    return configuration
  }
}
