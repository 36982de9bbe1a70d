import GRPCCore
import GRPCTransport
import ServingTypes

/// A block that arrived: its frame, and its payload where the transport put it.
public struct ReceivedBlock: Sendable {
  public let frame: BlockFrame
  private let message: any GRPCContiguousBytes & Sendable
  private let payload: Range<Int>

  /// Bytes of the message in which our own frames have all fields but the payload.
  private static let headBytes = 1024

  /// The block in a message, or nil when the message holds something else.
  ///
  /// - Throws: `dataLoss` that names the damaged field.
  init?<Bytes: GRPCContiguousBytes>(_ bytes: Bytes) throws(ServingError) {
    do {
      var decoded: BlockFrameDecoder.Message
      do {
        decoded = try Self.decodeHead(bytes)
      } catch WireError.needsMoreBytes {
        decoded = try Self.decodeWhole(bytes)
      }
      guard case .block(let frame, let payload) = decoded else { return nil }
      self.frame = frame
      self.payload = payload
    } catch {
      throw ServingError(.dataLoss, "a block's frame is damaged: \(error)")
    }
    if let bytes = bytes as? GRPCBytes {
      message = bytes
    } else {
      message = GRPCBytes(bytes.withUnsafeBytes { Array($0) })
    }
  }

  public var payloadCount: Int { payload.count }

  /// Fills `target` with the payload, straight from the regions in which it arrived.
  ///
  /// - Returns: the CRC-32C of what `target` then holds.
  public func write(to target: UnsafeMutableRawBufferPointer) -> UInt32 {
    precondition(target.count == payload.count, "the payload's size was verified before")
    var checksum: UInt32 = 0
    var offset = 0
    while offset < target.count {
      let piece = UnsafeMutableRawBufferPointer(rebasing: target[offset..<min(offset + Self.pieceBytes, target.count)])
      message.copyMessageBytes(from: payload.lowerBound + offset, into: piece)
      checksum = blockChecksum(UnsafeRawBufferPointer(piece), after: checksum)
      offset += piece.count
    }
    return checksum
  }

  /// Copied and then checked while they still lie in the first cache.
  private static let pieceBytes = 24 << 10

  private static func decodeHead(_ bytes: some GRPCContiguousBytes) throws(WireError) -> BlockFrameDecoder.Message {
    let head = min(bytes.count, headBytes)
    return try withUnsafeTemporaryAllocation(byteCount: head, alignment: 1) { buffer throws(WireError) in
      bytes.copyMessageBytes(from: 0, into: buffer)
      return try BlockFrameDecoder.decode(head: UnsafeRawBufferPointer(buffer), count: bytes.count)
    }
  }

  private static func decodeWhole(_ bytes: some GRPCContiguousBytes) throws(WireError) -> BlockFrameDecoder.Message {
    let result: Result<BlockFrameDecoder.Message, WireError> = bytes.withUnsafeBytes { all in
      Result { () throws(WireError) in try BlockFrameDecoder.decode(head: all, count: all.count) }
    }
    return try result.get()
  }
}
