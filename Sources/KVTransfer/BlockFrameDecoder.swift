import ServingTypes

/// Finds a block in a PrefillResponse or FetchResponse written by any protobuf library: fields in any order, unknown
/// fields skipped, defaults left out. A field that is there twice is refused, since no library writes that.
package enum BlockFrameDecoder {
  package enum Message: Equatable {
    /// The payload lies at this range of the message.
    case block(BlockFrame, payload: Range<Int>)
    /// Another message of the oneof, or none.
    case other
  }

  /// Most layers, tokens and groups are small; an index has to fit a sequence of 2^31 tokens.
  private static let largestNumber: UInt32 = 1 << 31
  private static let mostTailTokens = 1 << 12

  /// - Parameters:
  ///   - head: the message's first bytes, or all of them.
  ///   - count: the whole message's length.
  /// - Throws: `needsMoreBytes` when the fields do not lie in `head`.
  package static func decode(head: UnsafeRawBufferPointer, count: Int) throws(WireError) -> Message {
    var reader = WireReader(bytes: head, range: 0..<count)
    var block: Range<Int>?
    var others = 0
    while !reader.isAtEnd {
      let field = try reader.field()
      if field.number == BlockFrame.FieldNumber.block {
        guard block == nil else { throw .malformed("block is there twice") }
        block = try reader.range("block", field)
      } else {
        if BlockFrame.FieldNumber.otherMessages.contains(field.number) { others += 1 }
        try reader.skip(field)
      }
    }
    guard let block else { return .other }
    guard others == 0 else { throw .malformed("there is another message beside block") }
    var nested = reader.nested(block)
    return try decodeBlock(&nested)
  }

  private static func decodeBlock(_ reader: inout WireReader) throws(WireError) -> Message {
    var frame = BlockFrame(
      index: 0, hash: nil, parentHash: BlockHash(high: 0, low: 0), tokenCount: 0, checksum: 0)
    var payload: Range<Int>?
    var seen: UInt64 = 0
    while !reader.isAtEnd {
      let field = try reader.field()
      // Tokens alone may be spread over several fields.
      if field.number < 64, field.number != BlockFrame.FieldNumber.tokens {
        guard seen & 1 << field.number == 0 else { throw .malformed("field \(field.number) of block is there twice") }
        seen |= 1 << field.number
      }
      switch field.number {
      case BlockFrame.FieldNumber.index: frame.index = try number("block.index", field, &reader)
      case BlockFrame.FieldNumber.hash: frame.hash = try hash("block.hash", field, &reader)
      case BlockFrame.FieldNumber.parentHash: frame.parentHash = try hash("block.parent_hash", field, &reader)
      case BlockFrame.FieldNumber.tokenCount: frame.tokenCount = try number("block.token_count", field, &reader)
      case BlockFrame.FieldNumber.checksum: frame.checksum = try reader.fixed32("block.checksum", field)
      case BlockFrame.FieldNumber.group: frame.group = try number("block.group", field, &reader)
      case BlockFrame.FieldNumber.firstLayer: frame.firstLayer = try number("block.first_layer", field, &reader)
      case BlockFrame.FieldNumber.layerCount: frame.layerCount = try number("block.layer_count", field, &reader)
      case BlockFrame.FieldNumber.tokens: try appendTokens(&frame.tokens, field, &reader)
      case BlockFrame.FieldNumber.payload: payload = try reader.range("block.payload", field)
      default: try reader.skip(field)
      }
    }
    guard seen & 1 << BlockFrame.FieldNumber.parentHash != 0 else { throw .malformed("block.parent_hash is missing") }
    guard let payload else { throw .malformed("block.payload is missing") }
    return .block(frame, payload: payload)
  }

  private static func number(
    _ name: String, _ field: WireReader.Field, _ reader: inout WireReader
  ) throws(WireError) -> Int {
    let value = try reader.uint32(name, field)
    guard value < largestNumber else { throw .malformed("\(name) is \(value)") }
    return Int(value)
  }

  private static func hash(
    _ name: String, _ field: WireReader.Field, _ reader: inout WireReader
  ) throws(WireError) -> BlockHash {
    let range = try reader.range(name, field)
    guard range.count == BlockHash.byteCount else {
      throw .malformed("\(name) is \(range.count) bytes long; a hash has \(BlockHash.byteCount)")
    }
    guard let hash = BlockHash(bytes: try reader.slice(range)) else { throw .malformed("\(name) is no hash") }
    return hash
  }

  private static func appendTokens(
    _ tokens: inout [TokenID], _ field: WireReader.Field, _ reader: inout WireReader
  ) throws(WireError) {
    if field.type == .lengthDelimited {
      var packed = reader.nested(try reader.range("block.tokens", field))
      while !packed.isAtEnd { try appendToken(&tokens, try packed.varint("block.tokens")) }
    } else {
      try appendToken(&tokens, UInt64(try reader.uint32("block.tokens", field)))
    }
  }

  private static func appendToken(_ tokens: inout [TokenID], _ value: UInt64) throws(WireError) {
    guard let token = TokenID(exactly: value) else { throw .malformed("block.tokens has the value \(value)") }
    guard tokens.count < mostTailTokens else { throw .malformed("block.tokens has more than \(mostTailTokens) values") }
    tokens.append(token)
  }
}
