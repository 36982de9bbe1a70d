import Glibc

/// A socket on which commands go out and replies come back. One thread.
final class RedisLink {
  private let socket: RedisSocket
  private let reader: RedisReader
  private let buffer: UnsafeMutableRawBufferPointer

  init(
    to endpoint: RedisAddress.Endpoint, tls: RedisTLS?, maximumReplyBytes: Int,
    deadline: ContinuousClock.Instant
  ) throws(RedisFailure) {
    reader = try RedisReader(maximumBytes: maximumReplyBytes)
    socket = try RedisSocket(to: endpoint, tls: tls, deadline: deadline)
    buffer = .allocate(byteCount: 64 << 10, alignment: 16)
  }

  deinit { buffer.deallocate() }

  var outlet: RedisOutlet? { socket.outlet }

  /// - Parameter offset: bytes that were sent before.
  func send(
    _ pipeline: RedisPipeline, from offset: Int = 0, deadline: ContinuousClock.Instant
  ) throws(RedisFailure) {
    try socket.write(pipeline.bytes, from: offset, deadline: deadline)
  }

  /// The next reply; `deadline` is for all of it, however slowly it drips.
  func reply(deadline: ContinuousClock.Instant) throws(RedisFailure) -> RedisReply {
    while true {
      if let reply = try reader.next() { return reply }
      let count = try socket.read(into: buffer, deadline: deadline)
      try reader.feed(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
    }
  }

  /// Sends the commands and reads their replies.
  func ask(_ pipeline: RedisPipeline, deadline: ContinuousClock.Instant) throws(RedisFailure) -> [RedisReply] {
    try send(pipeline, deadline: deadline)
    var replies: [RedisReply] = []
    for _ in 0..<pipeline.count { replies.append(try reply(deadline: deadline)) }
    return replies
  }
}
