import Glibc
import ModelRuntime
import ServingTypes

/// Computes nothing and writes blocks of a real model's size, at a given pace; notes when its steps began and ended.
final class BulkExecutor: ModelExecutor {
  /// Shared by whoever measures.
  final class Steps: Sendable {
    private let spans = Lock([(begin: ContinuousClock.Instant, end: ContinuousClock.Instant)]())

    func append(_ begin: ContinuousClock.Instant, _ end: ContinuousClock.Instant) {
      spans.withLock { $0.append((begin, end)) }
    }

    /// All steps so far, which are then forgotten.
    func take() -> [(begin: ContinuousClock.Instant, end: ContinuousClock.Instant)] {
      spans.withLock { spans in
        defer { spans = [] }
        return spans
      }
    }
  }

  let layout: KVLayout
  let vocabularySize = 64
  let maximumContextLength = 32_768
  let endOfGenerationTokens: [TokenID] = []
  let memory: BlockMemory
  private let secondsPerPromptToken: Double
  private let steps: Steps
  private let logits = UnsafeMutableBufferPointer<Float>.allocate(capacity: 64 * 64)

  /// - Parameters:
  ///   - layers: of 8 heads of 128 values in 16 bits each; 32 of them are a model of eight billion weights.
  ///   - secondsPerPromptToken: what the computing of a prompt's token takes.
  init(layers: Int, blockCount: Int, secondsPerPromptToken: Double, steps: Steps) throws(ServingError) {
    layout = KVLayout(
      modelFingerprint: "bulk", blockSize: 16, numerics: "bulk",
      groups: [KVGroup(layers: 0..<layers, kvHeads: 8, headSize: 128)])
    memory = try BlockMemory(blockBytes: layout.blockBytes(), blockCount: blockCount)
    self.secondsPerPromptToken = secondsPerPromptToken
    self.steps = steps
    logits.initialize(repeating: 0)
  }

  deinit { logits.deallocate() }

  func forward(_ batch: ForwardBatch) throws(ServingError) -> UnsafeBufferPointer<Float> {
    let begin = ContinuousClock.now
    var promptTokens = 0
    for segment in batch.segments where segment.tokenCount > 1 {
      promptTokens += segment.tokenCount
      let first = segment.startPosition / layout.blockSize
      let last = (segment.startPosition + segment.tokenCount - 1) / layout.blockSize
      for index in first...last {
        let block = memory.bytes(of: batch.blockTable[segment.blockOffset + index])
        block.initializeMemory(as: UInt8.self, repeating: UInt8(truncatingIfNeeded: segment.startPosition + index))
      }
    }
    let computed = begin + .seconds(secondsPerPromptToken * Double(promptTokens))
    let left = (computed - ContinuousClock.now) / .seconds(1)
    if left > 0 { usleep(UInt32(left * 1e6)) }
    steps.append(begin, .now)
    let width = batch.vocabularyPrefix ?? vocabularySize
    return UnsafeBufferPointer(rebasing: logits[..<(batch.logitRows.count * width)])
  }

  func copyBlock(from source: BlockID, to destination: BlockID) {
    memory.bytes(of: destination).copyMemory(from: UnsafeRawBufferPointer(memory.bytes(of: source)))
  }
}
