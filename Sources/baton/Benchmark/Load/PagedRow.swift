import ArgumentParser
import ServingTypes

/// A way to keep keys and values that `baton bench paged` compares.
enum PagedRow: String, CaseIterable, Encodable, ExpressibleByArgument {
  /// What all are compared with: one array of the longest context for each sequence.
  case contiguous
  case paged
  case fp8
  case int8
  case prefix
  case offload
  case speculation

  var title: String {
    switch self {
    case .contiguous: "contiguous f16"
    case .paged: "paged f16"
    case .fp8: "paged fp8"
    case .int8: "paged int8"
    case .prefix: "+ prefix cache"
    case .offload: "+ prefix, offload"
    case .speculation: "+ speculation"
    }
  }

  /// Whether the tokens have to be those of the first row: where keys and values are stored alike.
  var isExact: Bool { self != .fp8 && self != .int8 }

  /// The same kernels and scheduler for all; only what the row names is on.
  func settings(from given: EngineSettings) -> EngineSettings {
    var settings = given
    settings.kvDType = .f16
    settings.engine.enablePrefixCaching = false
    settings.engine.enableSpecDecode = false
    settings.engine.swapSpace = 0
    settings.engine.offloadDir = nil
    switch self {
    case .contiguous: settings.engine.reservesLongestContext = true
    case .paged: break
    case .fp8: settings.kvDType = .fp8
    case .int8: settings.kvDType = .int8
    case .prefix: settings.engine.enablePrefixCaching = true
    case .offload:
      settings.engine.enablePrefixCaching = true
      settings.engine.swapSpace = given.engine.swapSpace
      settings.engine.offloadDir = given.engine.offloadDir
    case .speculation: settings.engine.enableSpecDecode = true
    }
    return settings
  }
}
