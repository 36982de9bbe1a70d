import COpenSSL

/// Everything that two workers must agree on to share a block.
///
/// A block holds `blockSize` tokens for all layers of its group, one contiguous buffer: per layer the keys as
/// `[kv head][head size][token]`, then the values as `[kv head][token][head size]`; either is followed by its scales,
/// `[kv head][token]`, where the dtype has them. The digest namespaces caches, directory keys and streams.
public struct KVLayout: Hashable, Sendable, CustomStringConvertible {
  public static let currentFormatVersion = 2

  /// A digest of the model's weights and configuration.
  public var modelFingerprint: String
  /// Tokens in a block.
  public var blockSize: Int
  /// The class of arithmetic. Two classes are not bit-equal, so their blocks are never mixed.
  public var numerics: String
  public var formatVersion: Int
  public var groups: [KVGroup]

  public init(
    modelFingerprint: String, blockSize: Int = 16, numerics: String, formatVersion: Int = Self.currentFormatVersion,
    groups: [KVGroup]
  ) {
    self.modelFingerprint = modelFingerprint
    self.blockSize = blockSize
    self.numerics = numerics
    self.formatVersion = formatVersion
    self.groups = groups
  }

  /// Bytes of one block of the group, scales included.
  public func blockBytes(group: Int = 0) -> Int { groups[group].bytesPerToken * blockSize }

  /// A readable form that names every field; equal layouts have equal descriptions.
  public var description: String {
    let groups = groups.map { group in
      "\(group.role.rawValue) layers \(group.layers.lowerBound)-\(group.layers.upperBound - 1)"
        + " window \(group.window.map(String.init) ?? "none") heads \(group.kvHeads)x\(group.headSize)"
        + " \(group.dtype.rawValue) shard \(group.shard)/\(group.shardCount)"
    }
    return "kv-layout v\(formatVersion) model \(modelFingerprint) block_size \(blockSize) little-endian"
      + " numerics \(numerics) [\(groups.joined(separator: "; "))]"
  }

  /// Identifies the layout: 32 hexadecimal digits.
  public var digest: String {
    let text = Array(description.utf8)
    return text.withUnsafeBytes { BlockHash.digest($0).description }
  }
}
