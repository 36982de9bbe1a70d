import ModelRuntime
import ServingTypes

/// Random tensors of every type, with scales in a sensible range.
public enum RandomTensor {
  public static let types: [GGUFTensorType] = [.f32, .f16, .bf16, .q40, .q41, .q50, .q51, .q80, .q4K, .q5K, .q6K]

  public static func bytes(_ type: GGUFTensorType, count: Int, using random: inout SplitMix64) -> [UInt8] {
    let block = type.block ?? (1, 1)
    var bytes: [UInt8] = []
    for _ in 0..<count / block.size {
      var one = (0..<block.bytes).map { _ in UInt8.random(in: 0...255, using: &random) }
      switch type {
      case .f32: one = little(Float.random(in: -0.1...0.1, using: &random).bitPattern)
      case .f16: one = little(Float16(Float.random(in: -0.1...0.1, using: &random)).bitPattern)
      case .bf16: one = little(UInt16(Float.random(in: -0.1...0.1, using: &random).bitPattern >> 16))
      case .q6K: put(scale(&random), at: 208, in: &one)
      case .q41, .q51, .q4K, .q5K:
        put(scale(&random), at: 0, in: &one)
        put(scale(&random), at: 2, in: &one)
      default: put(scale(&random), at: 0, in: &one)
      }
      bytes += one
    }
    return bytes
  }

  private static func scale(_ random: inout SplitMix64) -> Float16 {
    Float16(Float.random(in: -0.002...0.002, using: &random))
  }

  private static func put(_ value: Float16, at offset: Int, in bytes: inout [UInt8]) {
    bytes.replaceSubrange(offset..<offset + 2, with: little(value.bitPattern))
  }

  private static func little(_ value: some FixedWidthInteger) -> [UInt8] {
    withUnsafeBytes(of: value.littleEndian) { Array($0) }
  }
}

/// A model of random weights, small enough to run everywhere, with the parts of its architecture.
public struct TinyModel {
  public static let vocabulary = 150

  public var architecture: ModelArchitecture
  public var embedding = 256
  public var feedForward = 512
  public var heads = 4
  public var kvHeads = 2
  public var headSize = 64
  public var layers = 3
  public var context = 2_048
  /// Called for each tensor before it is written; may change its dimensions, or return nil to leave it out.
  public var change: (String, [Int]) -> [Int]? = { $1 }
  /// Metadata to leave out or to replace.
  public var metadata: [String: GGUFWriter.Value?] = [:]

  public init(_ architecture: ModelArchitecture) { self.architecture = architecture }

  public func file() throws -> GGUFFile { try GGUFFile(bytes: bytes(), name: "tiny") }

  public func bytes() -> [UInt8] {
    var random = SplitMix64(seed: 7)
    var writer = GGUFWriter()
    for (key, value) in standardMetadata {
      if let replaced = metadata[key] {
        if let replaced { writer.set(key, replaced) }
      } else {
        writer.set(key, value)
      }
    }
    for (key, value) in metadata where !standardMetadata.contains(where: { $0.0 == key }) {
      if let value { writer.set(key, value) }
    }
    func matrix(_ name: String, _ rows: Int, _ columns: Int, _ type: GGUFTensorType) {
      guard let dimensions = change(name, [columns, rows]) else { return }
      let count = dimensions.reduce(1, *)
      let data = RandomTensor.bytes(type, count: count, using: &random)
      writer.addTensor(name, dimensions: dimensions, type: type, data: data)
    }
    func vector(_ name: String, _ count: Int, around center: Float) {
      guard let dimensions = change(name, [count]) else { return }
      let floats = (0..<dimensions.reduce(1, *)).map { _ in center + Float.random(in: -0.2...0.2, using: &random) }
      writer.addTensor(name, dimensions: dimensions, floats: floats)
    }
    matrix("token_embd.weight", Self.vocabulary, embedding, .q80)
    vector("output_norm.weight", embedding, around: 1)
    if architecture != .gemma3 { matrix("output.weight", Self.vocabulary, embedding, .q6K) }
    for layer in 0..<layers {
      let prefix = "blk.\(layer)."
      vector(prefix + "attn_norm.weight", embedding, around: 1)
      matrix(prefix + "attn_q.weight", heads * headSize, embedding, [.q40, .q4K, .f16][layer % 3])
      matrix(prefix + "attn_k.weight", kvHeads * headSize, embedding, [.q41, .q5K, .bf16][layer % 3])
      matrix(prefix + "attn_v.weight", kvHeads * headSize, embedding, [.q80, .q6K, .f32][layer % 3])
      matrix(prefix + "attn_output.weight", embedding, heads * headSize, [.q50, .q4K, .q51][layer % 3])
      vector(prefix + "ffn_norm.weight", embedding, around: 1)
      matrix(prefix + "ffn_gate.weight", feedForward, embedding, [.q51, .q41, .q4K][layer % 3])
      matrix(prefix + "ffn_up.weight", feedForward, embedding, [.q50, .q5K, .q40][layer % 3])
      matrix(prefix + "ffn_down.weight", embedding, feedForward, [.q6K, .q80, .q41][layer % 3])
      switch architecture {
      case .llama: break
      case .qwen2:
        vector(prefix + "attn_q.bias", heads * headSize, around: 0)
        vector(prefix + "attn_k.bias", kvHeads * headSize, around: 0)
        vector(prefix + "attn_v.bias", kvHeads * headSize, around: 0)
      case .gemma3:
        vector(prefix + "attn_q_norm.weight", headSize, around: 1)
        vector(prefix + "attn_k_norm.weight", headSize, around: 1)
        vector(prefix + "post_attention_norm.weight", embedding, around: 1)
        vector(prefix + "post_ffw_norm.weight", embedding, around: 1)
      }
    }
    return writer.bytes()
  }

  private var standardMetadata: [(String, GGUFWriter.Value)] {
    let name = architecture.rawValue
    var result: [(String, GGUFWriter.Value)] = [
      ("general.architecture", .string(name)),
      ("\(name).block_count", .uint32(UInt32(layers))),
      ("\(name).embedding_length", .uint32(UInt32(embedding))),
      ("\(name).feed_forward_length", .uint32(UInt32(feedForward))),
      ("\(name).attention.head_count", .uint32(UInt32(heads))),
      ("\(name).attention.head_count_kv", .uint32(UInt32(kvHeads))),
      ("\(name).attention.key_length", .uint32(UInt32(headSize))),
      ("\(name).context_length", .uint32(UInt32(context))),
      ("\(name).attention.layer_norm_rms_epsilon", .float32(1e-5)),
      ("\(name).rope.freq_base", .float32(10_000)),
      ("tokenizer.ggml.eos_token_id", .uint32(2)),
    ]
    if architecture == .gemma3 {
      result.append(("gemma3.attention.sliding_window", .uint32(40)))
      result.append(("gemma3.attention.sliding_window_pattern", .uint32(2)))
    }
    return result
  }

  public static func prompt(_ count: Int, seed: UInt64) -> [TokenID] {
    var random = SplitMix64(seed: seed)
    return (0..<count).map { _ in TokenID.random(in: 0..<TokenID(vocabulary), using: &random) }
  }
}
