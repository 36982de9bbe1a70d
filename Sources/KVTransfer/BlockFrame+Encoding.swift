import ServingTypes

extension BlockFrame {
  /// The bytes of a PrefillResponse or FetchResponse that holds this block, up to its payload.
  ///
  /// The payload is the last field, so these bytes and then the payload are a whole valid message: the payload itself is
  /// lent to the transport and never copied. Arrow Flight sends its record batches in the same way.
  public func prefix(payloadCount: Int) -> [UInt8] {
    var frame = WireWriter()
    frame.uint32(FieldNumber.index, UInt32(index))
    if let hash { frame.bytes(FieldNumber.hash, hash.bytes) }
    frame.bytes(FieldNumber.parentHash, parentHash.bytes)
    frame.uint32(FieldNumber.tokenCount, UInt32(tokenCount))
    frame.fixed32(FieldNumber.checksum, checksum)
    frame.uint32(FieldNumber.group, UInt32(group))
    frame.uint32(FieldNumber.firstLayer, UInt32(firstLayer))
    frame.uint32(FieldNumber.layerCount, UInt32(layerCount))
    if !tokens.isEmpty {
      var packed = WireWriter()
      for token in tokens { packed.varint(UInt64(token)) }
      frame.bytes(FieldNumber.tokens, packed.bytes)
    }
    frame.lengthDelimited(FieldNumber.payload, count: payloadCount)

    var message = WireWriter()
    message.lengthDelimited(FieldNumber.block, count: frame.bytes.count + payloadCount)
    message.append(frame)
    return message.bytes
  }
}
