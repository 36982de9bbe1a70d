/// Layers whose keys and values are stored alike.
public struct KVGroup: Hashable, Sendable {
  public enum Role: String, Hashable, Sendable {
    case target
    case draft
  }

  public var role: Role
  /// The model's layers in this group.
  public var layers: Range<Int>
  /// Tokens that a layer looks back on, when every layer of the group has the same window; nil is all of them.
  public var window: Int?
  public var kvHeads: Int
  public var headSize: Int
  public var dtype: KVDType
  /// This group holds shard `shard` of `shardCount` (tensor parallelism).
  public var shard: Int
  public var shardCount: Int

  public init(
    role: Role = .target, layers: Range<Int>, window: Int? = nil, kvHeads: Int, headSize: Int, dtype: KVDType = .f16,
    shard: Int = 0, shardCount: Int = 1
  ) {
    self.role = role
    self.layers = layers
    self.window = window
    self.kvHeads = kvHeads
    self.headSize = headSize
    self.dtype = dtype
    self.shard = shard
    self.shardCount = shardCount
  }

  /// Bytes that one token takes in all layers of the group.
  public var bytesPerToken: Int {
    layers.count * 2 * kvHeads * (headSize * dtype.elementBytes + dtype.scaleBytes)
  }
}
