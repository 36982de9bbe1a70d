import ServingTypes

/// The leading blocks of a prompt that one worker is believed to hold, by tier; near tiers come first in the chain.
public struct CachedPrefix: Hashable, Sendable {
  public var device: Int
  public var host: Int
  public var file: Int

  public init(device: Int = 0, host: Int = 0, file: Int = 0) {
    self.device = device
    self.host = host
    self.file = file
  }

  public var blocks: Int { device + host + file }

  /// Blocks whose computing the prefix saves, the far tiers counting less.
  public var weightedBlocks: Double {
    Double(device) * CacheTier.device.reuseWeight + Double(host) * CacheTier.host.reuseWeight
      + Double(file) * CacheTier.file.reuseWeight
  }
}
