import Engine
import GRPCCore
import GRPCProtobuf
import ServingProtos
import ServingTypes

/// Writes FetchResponse, whose blocks are the frames of the hand-off.
public struct FetchResponseSerializer: MessageSerializer {
  public init() {}

  public func serialize<Bytes: GRPCContiguousBytes>(_ message: HandoffMessage<LentBlock>) throws -> Bytes {
    var response = Baton_V1_FetchResponse()
    switch message {
    case .block(let block): return block.message()
    case .start(let blocks, _): response.start = .with { $0.blocks = UInt32(clamping: blocks) }
    case .end: response.end = Baton_V1_FetchEnd()
    case .queued: throw ServingError(.internalError, "a fetch is never queued")
    }
    return try ProtobufSerializer<Baton_V1_FetchResponse>().serialize(response)
  }
}
