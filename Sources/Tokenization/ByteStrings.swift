/// Many byte strings in one piece of memory: a vocabulary of 260,000 tokens as two arrays instead of as many objects.
public struct ByteStrings: Sendable {
  /// All strings, one after another.
  public private(set) var storage: [UInt8] = []
  /// Where each string starts, and where the last ends.
  private var offsets: [UInt32] = [0]

  /// No strings.
  public init() {}

  /// The UTF-8 bytes of each string.
  public init(_ strings: some Sequence<String>) {
    for string in strings { append(string.utf8) }
  }

  /// How many strings there are.
  public var count: Int { offsets.count - 1 }

  /// Makes room for what will be appended.
  public mutating func reserveCapacity(strings: Int, bytes: Int) {
    storage.reserveCapacity(bytes)
    offsets.reserveCapacity(strings + 1)
  }

  /// Adds a string; all together must stay below 4 GiB.
  public mutating func append(_ bytes: some Sequence<UInt8>) {
    storage.append(contentsOf: bytes)
    offsets.append(UInt32(storage.count))
  }

  /// Where string `index` lies in `storage`.
  public func range(_ index: Int) -> Range<Int> { Int(offsets[index])..<Int(offsets[index + 1]) }

  /// The bytes of string `index`.
  public subscript(_ index: Int) -> ArraySlice<UInt8> { storage[range(index)] }
}
