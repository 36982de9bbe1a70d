import ServingTypes

/// A GGUF version 3 model file: metadata and tensors, memory-mapped, each field checked before it is used.
///
/// Immutable; any thread may read it. A malformed file throws `dataLoss` (or `invalidArgument` where it is no GGUF v3 file at
/// all) with the file, the field and its byte offset; nothing is allocated by a count that the file's size does not back.
/// - SeeAlso: the GGUF specification in ggml's documentation.
public final class GGUFFile: Sendable {
  /// The path, or the name given with the bytes; errors start with it.
  public let name: String
  public let metadata: [String: GGUFValue]
  /// In the order of the file's directory.
  public let tensors: [GGUFTensorInfo]
  let storage: GGUFStorage
  /// Bytes of metadata and directory.
  let headerBytes: Int
  private let tensorIndices: [String: Int]

  /// Maps the file at `path`, which must not be truncated while the object lives.
  public convenience init(path: String) throws(ServingError) {
    try self.init(storage: GGUFStorage(path: path), name: path)
  }

  /// Reads a file that is already in memory; the bytes are copied.
  public convenience init(bytes: [UInt8], name: String = "GGUF bytes") throws(ServingError) {
    let storage = bytes.withUnsafeBytes { GGUFStorage(copying: $0) }
    try self.init(storage: storage, name: name)
  }

  private init(storage: GGUFStorage, name: String) throws(ServingError) {
    let header = try GGUFHeader(parsing: storage.bytes, name: name)
    self.name = name
    self.storage = storage
    metadata = header.metadata
    tensors = header.tensors
    tensorIndices = header.tensorIndices
    headerBytes = header.headerBytes
  }

  /// The file's size in bytes.
  public var byteCount: Int { storage.bytes.count }

  /// The tensor of that name; throws `dataLoss` where there is none.
  public func tensor(_ tensorName: String) throws(ServingError) -> GGUFTensorInfo {
    guard let tensor = optionalTensor(tensorName) else {
      throw ServingError(.dataLoss, "\(name): tensor \"\(tensorName)\" is missing")
    }
    return tensor
  }

  /// The tensor of that name, if there is one.
  public func optionalTensor(_ tensorName: String) -> GGUFTensorInfo? {
    tensorIndices[tensorName].map { tensors[$0] }
  }

  /// The tensor's data, aligned to at least 8 bytes; valid as long as the file object lives.
  ///
  /// Throws `unimplemented` for a tensor type that is not supported.
  public func bytes(of tensor: GGUFTensorInfo) throws(ServingError) -> UnsafeRawBufferPointer {
    guard tensor.type.block != nil else {
      throw ServingError(
        .unimplemented,
        "\(name): tensor \"\(tensor.name)\" is stored as \(tensor.type), which is not supported: use a file quantised to "
          + "F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q4_K, Q5_K or Q6_K")
    }
    precondition(tensor.offset + tensor.byteCount <= storage.bytes.count, "the tensor is another file's")
    return UnsafeRawBufferPointer(rebasing: storage.bytes[tensor.offset..<tensor.offset + tensor.byteCount])
  }
}
