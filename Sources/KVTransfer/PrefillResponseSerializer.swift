import Engine
import GRPCCore
import GRPCProtobuf
import ServingProtos

/// Writes PrefillResponse: blocks without copying their payload, the rest through SwiftProtobuf.
public struct PrefillResponseSerializer: MessageSerializer {
  public init() {}

  public func serialize<Bytes: GRPCContiguousBytes>(_ message: HandoffMessage<LentBlock>) throws -> Bytes {
    var response = Baton_V1_PrefillResponse()
    switch message {
    case .block(let block): return block.message()
    case .queued(let ahead): response.queued = .with { $0.ahead = UInt32(clamping: ahead) }
    case .start(let blocks, let cachedTokens):
      response.start = .with {
        $0.blocks = UInt32(clamping: blocks)
        $0.cachedTokens = UInt32(clamping: cachedTokens)
      }
    case .end(let end): response.end = Baton_V1_End(end)
    }
    return try ProtobufSerializer<Baton_V1_PrefillResponse>().serialize(response)
  }
}
