import CKernels
import ServingTypes

/// A model's sizes and constants, read from a GGUF file's metadata and checked against what the kernels can do.
public struct ModelConfiguration: Hashable, Sendable {
  /// The feed-forward network's activation.
  public enum Activation: Hashable, Sendable {
    case silu
    case geluTanh
  }

  /// Which elements of a head are rotated together.
  public enum RotaryPairs: Hashable, Sendable {
    /// (2i, 2i + 1): converters permute the weights of llama models for it.
    case interleaved
    /// (i, i + head size / 2).
    case halves
  }

  public var architecture: ModelArchitecture
  public var layerCount: Int
  public var embeddingSize: Int
  public var feedForwardSize: Int
  public var headCount: Int
  public var kvHeadCount: Int
  public var headSize: Int
  public var vocabularySize: Int
  /// Tokens that the model was trained to look at.
  public var contextLength: Int
  public var normEpsilon: Float
  public var activation: Activation
  public var rotaryPairs: RotaryPairs
  public var ropeBase: Float
  /// The base in layers with a sliding window.
  public var localRopeBase: Float
  /// Positions are divided by it in layers without a window.
  public var ropeScale: Float
  /// Tokens that a local layer sees, the current one included.
  public var slidingWindow: Int?
  /// Every so manyth layer is global, the others have the window.
  public var slidingPattern: Int
  public var attentionScale: Float
  public var embeddingScale: Float
  /// The metadata's end-of-sequence and end-of-turn tokens; a tokenizer may know of more.
  public var endOfGenerationTokens: [TokenID]

  public var queryHeadsPerKVHead: Int { headCount / kvHeadCount }

  /// The window of `layer`; nil for a layer that sees everything.
  public func window(layer: Int) -> Int? { (layer + 1) % slidingPattern == 0 ? nil : slidingWindow }

  /// Reads and checks the configuration; an error names the file and the key.
  public init(_ file: GGUFFile) throws(ServingError) {
    let name = try file.string("general.architecture")
    guard let architecture = ModelArchitecture(rawValue: name) else {
      let known = ModelArchitecture.allCases.map(\.rawValue).joined(separator: ", ")
      throw ServingError(
        .unimplemented, "\(file.name): general.architecture is \"\(name)\"; the supported ones are \(known)")
    }
    let reader = ConfigurationReader(file: file, prefix: name)
    self.architecture = architecture
    layerCount = try reader.count("block_count", 1...1_024)
    embeddingSize = try reader.count("embedding_length", 32...65_536, multipleOf: 32)
    feedForwardSize = try reader.count("feed_forward_length", 32...1_048_576, multipleOf: 32)
    headCount = try reader.count("attention.head_count", 1...1_024)
    kvHeadCount = try reader.count("attention.head_count_kv", 1...1_024, default: headCount)
    contextLength = try reader.count("context_length", 1...16_777_216)
    vocabularySize = try reader.vocabularySize()
    headSize = try reader.headSize(embeddingSize: embeddingSize, headCount: headCount)
    try reader.checkHeads(headCount: headCount, kvHeadCount: kvHeadCount, headSize: headSize)
    normEpsilon = try reader.positive("attention.layer_norm_rms_epsilon", below: 1)
    ropeBase = try reader.positive("rope.freq_base", below: 1e12, default: 10_000)
    localRopeBase = ropeBase
    ropeScale = try reader.ropeScale()
    slidingWindow = nil
    slidingPattern = 1
    attentionScale = 1 / Float(headSize).squareRoot()
    embeddingScale = 1
    activation = .silu
    rotaryPairs = architecture == .llama ? .interleaved : .halves
    endOfGenerationTokens = try reader.endOfGenerationTokens(vocabularySize: vocabularySize)
    try reader.refuse("expert_count", "mixtures of experts")
    if architecture == .gemma3 { try readGemma3(reader) }
  }

  private mutating func readGemma3(_ reader: ConfigurationReader) throws(ServingError) {
    try reader.refuse("final_logit_softcapping", "soft-capped logits")
    try reader.refuse("attn_logit_softcapping", "soft-capped attention")
    activation = .geluTanh
    embeddingScale = Float(embeddingSize).squareRoot()
    slidingWindow = try reader.count("attention.sliding_window", 1...16_777_216)
    slidingPattern = try reader.count("attention.sliding_window_pattern", 1...1_024, default: 6)
    localRopeBase = try reader.positive("rope.freq_base_swa", below: 1e12, default: 10_000)
    // The 27B model, the only one of 62 layers, scales by the embedding's share of a head.
    if layerCount == 62 { attentionScale = 1 / (Float(embeddingSize) / Float(headCount)).squareRoot() }
  }
}
