import Engine
import ServingTypes

// What other workers are asked for.
extension EngineSettings {
  static func readFetching(
    _ options: EngineOptions, _ reader: inout ParameterReader, into engine: inout EngineConfiguration
  ) {
    let defaults = EngineConfiguration()
    engine.enableBlockFetch = reader.boolean(
      "enable_block_fetch", flag: options.enableBlockFetch, default: defaults.enableBlockFetch)
    engine.fetchMinBlocks = reader.integer(
      "fetch_min_blocks", flag: options.fetchMinBlocks, default: defaults.fetchMinBlocks, in: 1...1_000_000)
    engine.fetchBandwidth =
      reader.optionalByteCount("fetch_bandwidth", flag: options.fetchBandwidth) ?? defaults.fetchBandwidth
    reader.noteDefault("256MiB")
    engine.fetchTimeout = reader.duration("fetch_timeout", flag: options.fetchTimeout, default: defaults.fetchTimeout)
  }
}
