/// A tensor's entry in the file's directory.
public struct GGUFTensorInfo: Hashable, Sendable {
  public let name: String
  /// The first dimension is contiguous: a weight of `[rows, columns]` has the dimensions `[columns, rows]` here.
  public let dimensions: [Int]
  public let type: GGUFTensorType
  public let elementCount: Int
  /// Where the data starts, in bytes from the start of the file.
  public let offset: Int
  /// Bytes of data; 0 for a type that is not supported.
  public let byteCount: Int

  /// Bytes of one run along the first dimension; 0 for a type that is not supported.
  public var rowBytes: Int { byteCount == 0 ? 0 : byteCount / (elementCount / dimensions[0]) }
}
