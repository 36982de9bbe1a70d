import Engine
import GRPCCore
import GRPCProtobuf
import ServingProtos
import ServingTypes

/// Reads FetchResponse, whose blocks are the frames of the hand-off.
public struct FetchResponseDeserializer: MessageDeserializer {
  public init() {}

  public func deserialize<Bytes: GRPCContiguousBytes>(_ bytes: Bytes) throws -> HandoffMessage<ReceivedBlock> {
    if let block = try ReceivedBlock(bytes) { return .block(block) }
    let response = try ProtobufDeserializer<Baton_V1_FetchResponse>().deserialize(bytes)
    switch response.message {
    case .start(let start): return .start(blocks: Int(start.blocks), cachedTokens: 0)
    case .end: return .end(PrefillEnd(firstTokens: []))
    case .block, nil: throw ServingError(.dataLoss, "a message of the fetch is empty")
    }
  }
}
