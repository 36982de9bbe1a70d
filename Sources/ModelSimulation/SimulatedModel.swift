import Foundation
import ServingTypes

/// A model without weights, for experiments with many workers on one machine: how long its steps take, and how much fits
/// beside it.
///
/// Times are what a step waits, not what it computes: a worker takes next to no processor time of its own.
public struct SimulatedModel: Codable, Hashable, Sendable {
  public var name: String
  public var contextLength: Int
  /// Blocks in a worker's pool, unless it is told another number.
  public var blocks: Int
  /// Whatever is in a step: the weights' reading.
  public var stepMicroseconds: Double
  public var prefillTokenMicroseconds: Double
  public var decodeTokenMicroseconds: Double
  /// Each pair of a prompt's token and one that it attends to.
  public var prefillPairNanoseconds: Double
  /// Each token that a decoding sequence attends to.
  public var decodePairNanoseconds: Double

  /// No step takes any time: what is left is the serving.
  public static let free = SimulatedModel(
    name: "free", contextLength: 32_768, blocks: 16_384, stepMicroseconds: 0, prefillTokenMicroseconds: 0,
    decodeTokenMicroseconds: 0, prefillPairNanoseconds: 0, decodePairNanoseconds: 0)

  /// Eight billion weights in 16 bits on one accelerator with 2 TB/s, 312 TFLOP/s, half of which products reach, and 80 GB.
  ///
  /// A step reads 16 GB: 8 ms. A prompt's token takes 16 GFLOP: 0.1 ms. With 32 layers of 32 heads of 128 a pair takes
  /// 0.5 MFLOP: 3.5 ns. A token's keys and values, 8 heads of each layer, are 128 KiB, read in 65 ns; 52 GB of them lie
  /// beside the weights: 400,000 tokens, 25,000 blocks. A decoding sequence has products and sampling of its own: 0.05 ms.
  public static let eightBillion = SimulatedModel(
    name: "8b", contextLength: 32_768, blocks: 25_000, stepMicroseconds: 8000, prefillTokenMicroseconds: 100,
    decodeTokenMicroseconds: 50, prefillPairNanoseconds: 3.5, decodePairNanoseconds: 65)

  /// Those that go by a name.
  public static let named = [free, eightBillion]

  /// - Parameter json: the fields, each by its name.
  /// - Throws: `invalidArgument` where one is missing or out of range.
  public init(json: Data) throws(ServingError) {
    do {
      self = try JSONDecoder().decode(SimulatedModel.self, from: json)
    } catch {
      throw ServingError(.invalidArgument, "this describes no simulated model: \(error)")
    }
    let times = [
      stepMicroseconds, prefillTokenMicroseconds, decodeTokenMicroseconds, prefillPairNanoseconds,
      decodePairNanoseconds,
    ]
    guard (1...10_000_000).contains(contextLength), (2...100_000_000).contains(blocks),
      times.allSatisfy({ (0...1e9).contains($0) })
    else {
      throw ServingError(
        .invalidArgument, "a length, a number of blocks or a time of the simulated model is out of range")
    }
  }

  init(
    name: String, contextLength: Int, blocks: Int, stepMicroseconds: Double, prefillTokenMicroseconds: Double,
    decodeTokenMicroseconds: Double, prefillPairNanoseconds: Double, decodePairNanoseconds: Double
  ) {
    self.name = name
    self.contextLength = contextLength
    self.blocks = blocks
    self.stepMicroseconds = stepMicroseconds
    self.prefillTokenMicroseconds = prefillTokenMicroseconds
    self.decodeTokenMicroseconds = decodeTokenMicroseconds
    self.prefillPairNanoseconds = prefillPairNanoseconds
    self.decodePairNanoseconds = decodePairNanoseconds
  }

  public var cost: SimulatedExecutor.Cost {
    .init(
      step: .nanoseconds(stepMicroseconds * 1000), prefillToken: .nanoseconds(prefillTokenMicroseconds * 1000),
      decodeToken: .nanoseconds(decodeTokenMicroseconds * 1000), prefillPair: .nanoseconds(prefillPairNanoseconds),
      decodePair: .nanoseconds(decodePairNanoseconds))
  }

  /// Computes digests for the time of the cost, and says only tokens that are words.
  public func makeExecutor(
    blockCount: Int, blockSize: Int, maximumContextLength: Int?
  ) throws(ServingError) -> sending SimulatedExecutor {
    try SimulatedExecutor(
      blockCount: blockCount, blockSize: blockSize, vocabularySize: SimulatedTokenizer().vocabularySize,
      maximumContextLength: min(contextLength, maximumContextLength ?? contextLength), spoken: SimulatedTokenizer.words,
      cost: cost, model: "simulated \(name)")
  }
}

extension Duration {
  fileprivate static func nanoseconds(_ count: Double) -> Duration { .seconds(count * 1e-9) }
}
