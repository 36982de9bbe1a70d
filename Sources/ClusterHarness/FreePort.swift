import Foundation
import ServingTypes

/// A TCP port of the loopback interface that nobody listens at.
package enum FreePort {
  /// The system gives the same port to nobody else for a while.
  package static func find() throws(ServingError) -> Int {
    let socket = Foundation.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    guard socket >= 0 else { throw ServingError(.internalError, "no socket: errno \(errno)") }
    defer { close(socket) }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr = in_addr(s_addr: UInt32(0x7F00_0001).bigEndian)
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let isBound = withUnsafeMutablePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
        bind(socket, pointer, length) == 0 && getsockname(socket, pointer, &length) == 0
      }
    }
    guard isBound else { throw ServingError(.internalError, "no free port: errno \(errno)") }
    return Int(UInt16(bigEndian: address.sin_port))
  }
}
