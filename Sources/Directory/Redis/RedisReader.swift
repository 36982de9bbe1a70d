import CHiredis

/// Reads replies out of bytes, with limits: a server's nonsense must not take the memory.
final class RedisReader {
  /// Elements of one array.
  static let maximumElements = 1 << 17

  private let reader: UnsafeMutablePointer<redisReader>
  private let functions: UnsafeMutablePointer<redisReplyObjectFunctions>
  private let maximumBytes: Int
  private var bytesOfReply = 0

  /// What hiredis makes replies with.
  private static let standard: redisReplyObjectFunctions = {
    guard let reader = redisReaderCreate() else { return redisReplyObjectFunctions() }
    defer { redisReaderFree(reader) }
    return reader.pointee.fn.pointee
  }()

  private static let createArray = standard.createArray

  /// - Parameter maximumBytes: of one reply.
  init(maximumBytes: Int) throws(RedisFailure) {
    guard let reader = redisReaderCreate() else { throw RedisFailure(.connection, "no memory for a connection") }
    self.reader = reader
    self.maximumBytes = maximumBytes
    functions = .allocate(capacity: 1)
    functions.initialize(to: Self.standard)
    functions.pointee.createArray = { task, count in
      count > RedisReader.maximumElements ? nil : RedisReader.createArray?(task, count)
    }
    reader.pointee.fn = functions
  }

  deinit {
    redisReaderFree(reader)
    functions.deallocate()
  }

  func feed(_ bytes: UnsafeRawBufferPointer) throws(RedisFailure) {
    bytesOfReply += bytes.count
    guard bytesOfReply <= maximumBytes else {
      throw RedisFailure(.malformed, "a reply of Redis is larger than \(maximumBytes) bytes")
    }
    let result = redisReaderFeed(reader, bytes.baseAddress?.assumingMemoryBound(to: CChar.self), bytes.count)
    if result != REDIS_OK { throw failure }
  }

  /// The next reply; nil when more bytes are needed.
  func next() throws(RedisFailure) -> RedisReply? {
    var reply: UnsafeMutableRawPointer?
    guard redisReaderGetReply(reader, &reply) == REDIS_OK else { throw failure }
    guard let reply else { return nil }
    defer { freeReplyObject(reply) }
    // Bytes of the replies that follow were counted with this one's.
    bytesOfReply = reader.pointee.len - reader.pointee.pos
    return RedisReply(reply.assumingMemoryBound(to: redisReply.self))
  }

  private var failure: RedisFailure {
    let text = withUnsafeBytes(of: reader.pointee.errstr) { bytes in
      String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
    }
    return RedisFailure(.malformed, "no reply that Redis gives: \(text)")
  }
}
