import ServingProtos
import ServingTypes

extension Baton_V1_BlockHolder {
  public init(_ holder: BlockHolder) {
    self.init()
    worker = Baton_V1_WorkerReference(holder.worker)
    blocks = UInt32(clamping: holder.blocks)
  }
}

extension BlockHolder {
  /// Holders that a request may name; what goes beyond is left out.
  private static let mostHolders = 16

  public init(_ message: Baton_V1_BlockHolder) throws(ServingError) {
    self.init(worker: try WorkerReference(message.worker), blocks: Int(message.blocks))
  }

  /// The holders that a request names, but for the worker that reads them.
  ///
  /// - Throws: `invalidArgument` when one has no address.
  public static func list(_ messages: [Baton_V1_BlockHolder], besides own: WorkerID) throws(ServingError) -> [Self] {
    var holders: [Self] = []
    for message in messages.prefix(mostHolders) where message.worker.id != own.value {
      holders.append(try Self(message))
    }
    return holders
  }
}
