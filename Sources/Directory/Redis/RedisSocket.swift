import Glibc

/// A connected socket with a deadline on everything. One thread.
final class RedisSocket {
  private let descriptor: Int32
  private let tls: RedisTLSSession?

  init(
    to endpoint: RedisAddress.Endpoint, tls: RedisTLS?, deadline: ContinuousClock.Instant
  ) throws(RedisFailure) {
    let descriptor =
      switch endpoint {
      case .unix(let path): try Self.connect(path: path, deadline: deadline)
      case .tcp(let host, let port): try Self.connect(host: host, port: port, deadline: deadline)
      }
    do throws(RedisFailure) {
      if let tls, case .tcp(let host, _) = endpoint {
        self.tls = try RedisTLSSession(tls, descriptor: descriptor, host: host, deadline: deadline)
      } else {
        self.tls = nil
      }
      self.descriptor = descriptor
    } catch {
      close(descriptor)
      throw error
    }
  }

  deinit {
    tls?.end()
    close(descriptor)
  }

  /// For callers on other threads, while this one waits; nil where what they write must be encrypted first.
  var outlet: RedisOutlet? { tls == nil ? RedisOutlet(descriptor: descriptor) : nil }

  /// Writes what comes after the first `offset` bytes.
  func write(_ bytes: [UInt8], from offset: Int, deadline: ContinuousClock.Instant) throws(RedisFailure) {
    var offset = offset
    while offset < bytes.count {
      let written: Int
      if let tls {
        written = try tls.write(bytes[offset...], deadline: deadline)
      } else {
        let result = bytes.withUnsafeBytes { bytes in
          send(descriptor, bytes.baseAddress.map { $0 + offset }, bytes.count - offset, Int32(MSG_NOSIGNAL))
        }
        if result < 0 {
          let code = errno
          guard code == EAGAIN || code == EINTR else { throw Self.failure(code) }
          try Self.wait(descriptor, for: Int16(POLLOUT), deadline: deadline)
          continue
        }
        written = result
      }
      offset += written
    }
  }

  /// Waits for bytes, at least one.
  func read(into buffer: UnsafeMutableRawBufferPointer, deadline: ContinuousClock.Instant) throws(RedisFailure) -> Int {
    if let tls { return try tls.read(into: buffer, deadline: deadline) }
    while true {
      let count = recv(descriptor, buffer.baseAddress, buffer.count, 0)
      if count > 0 { return count }
      if count == 0 { throw RedisFailure(.connection, "Redis closed the connection") }
      let code = errno
      guard code == EAGAIN || code == EINTR else { throw Self.failure(code) }
      try Self.wait(descriptor, for: Int16(POLLIN), deadline: deadline)
    }
  }

  /// Waits until the descriptor is ready.
  static func wait(_ descriptor: Int32, for events: Int16, deadline: ContinuousClock.Instant) throws(RedisFailure) {
    var entry = pollfd(fd: descriptor, events: events, revents: 0)
    while true {
      let left = deadline - ContinuousClock.now
      guard left > .zero else { throw RedisFailure(.timeout, "no reply in time") }
      let result = poll(&entry, 1, Int32(clamping: left.wholeMilliseconds))
      if result > 0 { return }
      if result < 0, errno != EINTR { throw failure(errno) }
    }
  }

  static func failure(_ code: Int32) -> RedisFailure {
    RedisFailure(.connection, String(cString: strerror(code)))
  }

  private static func connect(path: String, deadline: ContinuousClock.Instant) throws(RedisFailure) -> Int32 {
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    guard path.utf8.count < MemoryLayout.size(ofValue: address.sun_path) else {
      throw RedisFailure(.connection, "the socket's path is too long")
    }
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
    return try withUnsafeBytes(of: &address) { bytes throws(RedisFailure) in
      try connect(to: bytes, family: AF_UNIX, deadline: deadline)
    }
  }

  private static func connect(
    host: String, port: Int, deadline: ContinuousClock.Instant
  ) throws(RedisFailure) -> Int32 {
    var hints = addrinfo()
    hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
    var list: UnsafeMutablePointer<addrinfo>?
    let result = getaddrinfo(host, String(port), &hints, &list)
    guard result == 0, let list else {
      throw RedisFailure(.connection, "host '\(host)' is not found: \(String(cString: gai_strerror(result)))")
    }
    defer { freeaddrinfo(list) }
    var failure = RedisFailure(.connection, "host '\(host)' has no address")
    var left = 0
    var next: UnsafeMutablePointer<addrinfo>? = list
    while let entry = next { (left, next) = (left + 1, entry.pointee.ai_next) }
    next = list
    while let entry = next {
      next = entry.pointee.ai_next
      // An address that swallows packets leaves the others their time.
      let share = ContinuousClock.now + (deadline - .now) / max(1, left)
      left -= 1
      let address = UnsafeRawBufferPointer(start: entry.pointee.ai_addr, count: Int(entry.pointee.ai_addrlen))
      do throws(RedisFailure) {
        let descriptor = try connect(to: address, family: entry.pointee.ai_family, deadline: share)
        var on: Int32 = 1
        let size = socklen_t(MemoryLayout<Int32>.size)
        setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &on, size)
        setsockopt(descriptor, SOL_SOCKET, SO_KEEPALIVE, &on, size)
        return descriptor
      } catch {
        failure = error
      }
    }
    throw failure
  }

  private static func connect(
    to address: UnsafeRawBufferPointer, family: Int32, deadline: ContinuousClock.Instant
  ) throws(RedisFailure) -> Int32 {
    let flags = SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue
    let descriptor = socket(family, Int32(flags), 0)
    guard descriptor >= 0 else { throw failure(errno) }
    guard let start = address.baseAddress?.assumingMemoryBound(to: sockaddr.self) else {
      close(descriptor)
      throw RedisFailure(.connection, "no address")
    }
    do throws(RedisFailure) {
      if Glibc.connect(descriptor, start, socklen_t(address.count)) != 0 {
        let code = errno
        guard code == EINPROGRESS else { throw failure(code) }
        try wait(descriptor, for: Int16(POLLOUT), deadline: deadline)
        var outcome: Int32 = 0
        var size = socklen_t(MemoryLayout<Int32>.size)
        getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &outcome, &size)
        if outcome != 0 { throw failure(outcome) }
      }
      return descriptor
    } catch {
      close(descriptor)
      throw error
    }
  }
}
