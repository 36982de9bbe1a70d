import CHiredis

/// One command: its arguments in one buffer, as hiredis wants to see them.
struct RedisCommand: Sendable {
  private var bytes: [UInt8] = []
  private var lengths: [Int] = []

  init(_ arguments: String...) {
    for argument in arguments { append(argument) }
  }

  mutating func append(_ argument: String) {
    let start = bytes.count
    bytes.append(contentsOf: argument.utf8)
    lengths.append(bytes.count - start)
  }

  /// Writes the command to the connection's output buffer.
  /// - Returns: false when there is no memory for it.
  func write(to context: UnsafeMutablePointer<redisContext>) -> Bool {
    bytes.withUnsafeBufferPointer { bytes in
      withUnsafeTemporaryAllocation(of: UnsafePointer<CChar>?.self, capacity: lengths.count) { pointers in
        withUnsafeTemporaryAllocation(of: Int.self, capacity: lengths.count) { sizes in
          var offset = 0
          for (index, length) in lengths.enumerated() {
            let start = bytes.baseAddress.map { UnsafeRawPointer($0 + offset).assumingMemoryBound(to: CChar.self) }
            pointers.initializeElement(at: index, to: start)
            sizes.initializeElement(at: index, to: length)
            offset += length
          }
          return redisAppendCommandArgv(context, Int32(lengths.count), pointers.baseAddress, sizes.baseAddress)
            == REDIS_OK
        }
      }
    }
  }
}
