/// Where an array's elements lie in the file; they are decoded when asked for, since vocabularies are large.
public struct GGUFArray: Hashable, Sendable {
  public let elementType: GGUFValueType
  public let count: Int
  /// Byte offsets in the file, already checked to hold `count` elements.
  let range: Range<Int>
}
