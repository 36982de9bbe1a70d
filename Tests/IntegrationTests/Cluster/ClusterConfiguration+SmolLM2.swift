import ClusterHarness

extension ClusterConfiguration {
  /// Two processes of each tier over a real model.
  static func smollm2(
    prefill: Int = 2, decode: Int = 2, arguments: [String] = [], prefillArguments: [String] = []
  ) -> ClusterConfiguration {
    var configuration = ClusterConfiguration(binary: TestFiles.baton ?? "", model: TestFiles.modelArguments)
    (configuration.prefill, configuration.decode) = (prefill, decode)
    configuration.arguments = { role, _ in
      let worker = ["--threads", "1", "--num-blocks", "1500", "--check-integrity-on-idle"] + arguments
      return switch role {
      case .redis, .router: []
      case .prefill: worker + prefillArguments
      case .decode: worker
      }
    }
    return configuration
  }
}
