import Engine
import Foundation
import LoadHarness
import Logging
import ModelRuntime
import ServingTypes

/// Runs a trace on engines that differ in their settings and share the weights.
struct LoadSession {
  let loaded: LoadedModel
  let trace: Trace
  let mode: LoadDriver.Mode
  let logger: Logger

  /// One run on an engine of its own.
  ///
  /// - Parameter takesRefusals: false: whoever waits is served in the end, since a refusal would be a hole in the figures.
  func run(_ settings: EngineSettings, takesRefusals: Bool = false) async throws -> LoadResult {
    var settings = settings
    if !takesRefusals {
      settings.engine.maxQueueWait = .seconds(86_400)
      settings.engine.maxQueuedRequests = max(settings.engine.maxQueuedRequests, trace.requests.count)
    }
    let engine = try loaded.makeEngine(settings, logger: logger)
    engine.start()
    do {
      // Brings weights and scratch into memory.
      let warmUp = Trace(
        seed: trace.seed &+ 1, requests: (0..<4).map { TraceRequest(id: $0, promptLength: 32, outputLength: 4) })
      _ = try await driver(of: engine, warmUp, takesRefusals).run(.allAtOnce)
      let result = try await driver(of: engine, trace, takesRefusals).run(mode)
      try await engine.checkIntegrity()
      await engine.stop()
      return result
    } catch {
      await engine.stop()
      throw error
    }
  }

  private func driver(of engine: EngineCore, _ trace: Trace, _ takesRefusals: Bool) -> LoadDriver {
    var driver = LoadDriver(engine: engine, trace: trace)
    driver.takesRefusals = takesRefusals
    return driver
  }

  /// Bytes of one block with these settings.
  func blockBytes(_ settings: EngineSettings) -> Int {
    CPUModelExecutor.layout(
      loaded.weights, blockSize: settings.blockSize, kvDType: settings.kvDType, arithmetic: settings.kernels
    ).blockBytes()
  }

  /// As many blocks as the memory of `contexts` whole contexts in `f16` holds.
  func blockCount(contexts: Int, of length: Int, _ settings: EngineSettings) -> Int {
    var plain = settings
    plain.kvDType = .f16
    let whole = (length + settings.blockSize - 1) / settings.blockSize
    return contexts * whole * blockBytes(plain) / blockBytes(settings)
  }

  /// Says what goes on, beside the results.
  static func note(_ text: String) { FileHandle.standardError.write(Data("bench: \(text)\n".utf8)) }
}
