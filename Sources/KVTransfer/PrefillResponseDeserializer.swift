import Engine
import GRPCCore
import GRPCProtobuf
import ServingProtos
import ServingTypes

/// Reads PrefillResponse: a block's payload stays where the transport put it until it is written to the pool.
public struct PrefillResponseDeserializer: MessageDeserializer {
  public init() {}

  public func deserialize<Bytes: GRPCContiguousBytes>(_ bytes: Bytes) throws -> HandoffMessage<ReceivedBlock> {
    if let block = try ReceivedBlock(bytes) { return .block(block) }
    let response = try ProtobufDeserializer<Baton_V1_PrefillResponse>().deserialize(bytes)
    switch response.message {
    case .queued(let queued): return .queued(ahead: Int(queued.ahead))
    case .start(let start): return .start(blocks: Int(start.blocks), cachedTokens: Int(start.cachedTokens))
    case .end(let end): return .end(try PrefillEnd(end))
    case .block, nil: throw ServingError(.dataLoss, "a message of the hand-off is empty")
    }
  }
}
