import ModelRuntime
import ServingTypes

/// A smaller model of the same vocabulary, which guesses for the one that is served.
struct DraftModel: Sendable {
  private let weights: ModelWeights
  private let layout: KVLayout
  private let settings: EngineSettings

  /// Nil unless the settings ask for one.
  init?(_ settings: EngineSettings, for target: GGUFFile) throws(ServingError) {
    guard settings.engine.speculates, settings.engine.specMethod == .draft else { return nil }
    guard let path = settings.draftModel else {
      throw ServingError(.invalidArgument, "spec_method is draft, and no draft_model is given")
    }
    let file = try GGUFFile(path: path)
    try file.checkVocabulary(isThatOf: target)
    weights = try ModelWeights(file: file, threads: settings.threads)
    layout = CPUModelExecutor.layout(
      weights, blockSize: settings.blockSize, kvDType: settings.kvDType, arithmetic: settings.kernels, role: .draft)
    self.settings = settings
  }

  var fileName: String { settings.draftModel?.split(separator: "/").last.map(String.init) ?? "" }

  /// Of its own pool, which has as many blocks as the target's.
  var blockBytes: Int { layout.blockBytes() }

  /// Bytes of weights and scratch.
  var fixedBytes: Int {
    weights.byteCount
      + CPUModelExecutor.scratchBytes(
        model: weights.configuration, threads: settings.threads, contextLength: contextLength,
        logitRows: settings.engine.maxNumSeqs, runsPieces: false)
  }

  /// Nil is the model's own.
  private var contextLength: Int? {
    settings.engine.maxModelLen.map { min($0, weights.configuration.contextLength) }
  }

  func makeExecutor(blockCount: Int, threadPool: ThreadPool) throws(ServingError) -> sending CPUModelExecutor {
    try CPUModelExecutor(
      weights: weights,
      configuration: .init(
        blockSize: settings.blockSize, blockCount: blockCount, kvDType: settings.kvDType, threads: settings.threads,
        arithmetic: settings.kernels, path: settings.kernelPath,
        maximumContextLength: contextLength),
      threadPool: threadPool)
  }
}
