import GRPCCore

// What a serializer needs in order to serve any transport: no copies with this one, plain copies with others.
extension GRPCContiguousBytes {
  /// One message made of pieces in order. With `GRPCBytes` lent pieces are not copied; else they are, and are released
  /// before this returns.
  public static func assemble(_ pieces: [GRPCBytes.Piece]) -> Self {
    if Self.self == GRPCBytes.self, let bytes = GRPCBytes(pieces: pieces) as? Self { return bytes }
    var all: [UInt8] = []
    for piece in pieces {
      switch piece {
      case .copied(let bytes):
        all.append(contentsOf: bytes)
      case .lent(let bytes, let onRelease):
        all.append(contentsOf: bytes)
        onRelease()
      }
    }
    return Self(all)
  }

  /// Calls `body` with each region in order, without copying where the type keeps regions apart.
  public func forEachRegionOfBytes(_ body: (UnsafeRawBufferPointer) throws -> Void) rethrows {
    if let bytes = self as? GRPCBytes {
      try bytes.forEachRegion(body)
    } else {
      try withUnsafeBytes { if !$0.isEmpty { try body($0) } }
    }
  }

  /// Fills `target` with the bytes from `offset` on. The range must lie in the message.
  public func copyMessageBytes(from offset: Int, into target: UnsafeMutableRawBufferPointer) {
    if let bytes = self as? GRPCBytes {
      bytes.copyBytes(from: offset, into: target)
    } else {
      withUnsafeBytes { target.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[offset..<offset + target.count])) }
    }
  }
}
