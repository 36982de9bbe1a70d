import Glibc

/// The writing end of a connection whose thread waits: a caller that sends its commands itself need not wait until the thread
/// has woken up for that. It wakes while Redis is at work.
struct RedisOutlet: Sendable {
  /// Longer commands are left to the thread: they are sent under the connection's lock.
  private static let mostBytes = 4 << 10

  let descriptor: Int32

  /// Sends as much as goes out at once.
  ///
  /// - Returns: bytes sent; 0 also where the connection is broken, which its thread will find out.
  func send(_ bytes: [UInt8]) -> Int {
    guard bytes.count <= Self.mostBytes else { return 0 }
    return bytes.withUnsafeBytes { bytes in
      max(0, Glibc.send(descriptor, bytes.baseAddress, bytes.count, Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT)))
    }
  }
}
