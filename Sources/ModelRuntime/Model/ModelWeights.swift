import CKernels
import Glibc
import ServingTypes

/// A model's weights, packed for the kernels; several executors in a process share them.
public final class ModelWeights: @unchecked Sendable {  // safe: nothing changes after `init`
  public let configuration: ModelConfiguration
  /// Identifies the model's file, for `KVLayout`.
  public let fingerprint: String
  let layers: [LayerWeights]
  let outputNorm: UnsafePointer<Float>
  let output: UnsafePointer<k_matrix>
  /// Divides each rotation's frequency; nil where the model has none.
  let ropeFactors: UnsafePointer<Float>?
  private let packed: PackedMatrices
  private let vectors: [UnsafeMutableBufferPointer<Float>]
  private let file: GGUFFile
  private let embedding: UnsafeRawPointer
  private let embeddingType: k_type
  private let embeddingRowBytes: Int

  /// Bytes that the weights take, apart from the mapped file, of which only the embedding is still read.
  public var byteCount: Int {
    packed.byteCount + vectors.reduce(0) { $0 + $1.count * MemoryLayout<Float>.size }
  }

  /// Maps and packs the model at `path`, on `threads` threads.
  public convenience init(path: String, threads: Int) throws(ServingError) {
    try self.init(file: GGUFFile(path: path), threads: threads)
  }

  /// Packs a model; an error names the file and the key or tensor that is missing or has another shape.
  public init(file: GGUFFile, threads: Int) throws(ServingError) {
    let configuration = try ModelConfiguration(file)
    var builder = WeightsBuilder(file: file)
    do throws(ServingError) {
      let tensors = try Self.read(configuration, &builder)
      let pool = try ThreadPool(threadCount: threads)
      let packed = try builder.pack(on: pool)
      layers = tensors.layers.map { $0.layer(packed) }
      outputNorm = tensors.outputNorm
      output = packed.matrix(tensors.output)
      ropeFactors = tensors.ropeFactors
      let table = try file.tensor("token_embd.weight")
      guard let base = try file.bytes(of: table).baseAddress else {
        throw ServingError(.dataLoss, "\(file.name): tensor \"token_embd.weight\" is empty")
      }
      embedding = base
      embeddingType = k_type(rawValue: table.type.rawValue)
      embeddingRowBytes = table.rowBytes
      fingerprint = try file.modelFingerprint()
      self.packed = packed
    } catch {
      builder.discard()
      throw error
    }
    vectors = builder.vectors
    self.configuration = configuration
    self.file = file
  }

  deinit {
    for vector in vectors { vector.deallocate() }
  }

  /// Writes the token's embedding, scaled as the model wants it: `[embeddingSize]`.
  func embed(_ token: TokenID, into destination: UnsafeMutablePointer<Float>) {
    precondition(token >= 0 && Int(token) < configuration.vocabularySize, "the token is outside the vocabulary")
    let size = configuration.embeddingSize
    k_dequantize(embeddingType, embedding + Int(token) * embeddingRowBytes, size, destination)
    if configuration.embeddingScale != 1 {
      for index in 0..<size { destination[index] *= configuration.embeddingScale }
    }
  }

  private static func read(
    _ model: ModelConfiguration, _ builder: inout WeightsBuilder
  ) throws(ServingError) -> ModelTensors {
    let table = "token_embd.weight"
    let outputName = builder.file.optionalTensor("output.weight") == nil ? table : "output.weight"
    var layers: [LayerTensors] = []
    for layer in 0..<model.layerCount { layers.append(try LayerTensors(layer, model, &builder)) }
    let output = try builder.matrix(outputName, rows: model.vocabularySize, columns: model.embeddingSize)
    let embedding = try builder.file.tensor(table)
    guard embedding.dimensions[0] == model.embeddingSize, embedding.rowBytes > 0 else {
      throw ServingError(
        .dataLoss,
        "\(builder.file.name): tensor \"\(table)\" has the dimensions \(embedding.dimensions); "
          + "[\(model.embeddingSize), \(model.vocabularySize)] are expected")
    }
    return ModelTensors(
      layers: layers, outputNorm: try builder.vector("output_norm.weight", count: model.embeddingSize), output: output,
      ropeFactors: try builder.optionalVector("rope_freqs.weight", count: model.headSize / 2))
  }
}
