import Engine
import GRPCCore
import GRPCTransport
import ServingTypes

/// A block that leaves: its frame, and the loan whose bytes are sent from where they lie in the pool.
public struct LentBlock: Sendable {
  public let frame: BlockFrame
  public let loan: BlockLoan

  public init(_ loan: BlockLoan, index: Int) {
    frame = BlockFrame(
      index: index, hash: loan.hash, parentHash: loan.parentHash, tokenCount: loan.tokenCount, checksum: loan.checksum,
      tokens: loan.tokens)
    self.loan = loan
  }

  /// The whole message. Its payload stays pinned until the transport has let go of it.
  func message<Bytes: GRPCContiguousBytes>() -> Bytes {
    let payload = loan.bytes
    let loan = loan
    return Bytes.assemble([
      .copied(frame.prefix(payloadCount: payload.count)), .lent(payload, onRelease: { loan.release() }),
    ])
  }
}
