import CHiredis

/// A reply, copied out of hiredis' memory.
enum RedisReply: Hashable, Sendable {
  case null
  case integer(Int)
  case text(String)
  case error(String)
  case array([RedisReply])

  /// Copies the reply; the caller still frees it.
  init(_ reply: UnsafeMutablePointer<redisReply>) {
    let value = reply.pointee
    func string() -> String {
      guard let start = value.str else { return "" }
      let bytes = UnsafeRawBufferPointer(start: start, count: value.len)
      return String(decoding: bytes, as: UTF8.self)
    }
    switch value.type {
    case REDIS_REPLY_INTEGER: self = .integer(Int(value.integer))
    case REDIS_REPLY_STRING, REDIS_REPLY_STATUS: self = .text(string())
    case REDIS_REPLY_ERROR: self = .error(string())
    case REDIS_REPLY_ARRAY:
      var elements: [RedisReply] = []
      elements.reserveCapacity(value.elements)
      for index in 0..<value.elements {
        guard let element = value.element[index] else { continue }
        elements.append(RedisReply(element))
      }
      self = .array(elements)
    default: self = .null
    }
  }
}
