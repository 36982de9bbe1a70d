import Foundation
import Glibc
import ServingTypes

/// Forwards TCP connections to a port and cuts them once a number of bytes has come back.
final class CuttingProxy: Sendable {
  let port: Int
  private let listener: Int32

  init(to target: Int, cuttingAfter limit: Int) throws {
    let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var address = Self.loopback(port: 0)
    let isBound = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(listener, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
    guard isBound == 0, listen(listener, 8) == 0 else { throw ServingError(.unavailable, "errno \(errno)") }
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    withUnsafeMutablePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { _ = getsockname(listener, $0, &length) }
    }
    self.listener = listener
    port = Int(UInt16(bigEndian: address.sin_port))
    Thread.detachNewThread {
      while true {
        let client = accept(listener, nil, nil)
        guard client >= 0 else { return }
        let server = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = Self.loopback(port: target)
        let isConnected = withUnsafePointer(to: &address) {
          $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            connect(server, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
          }
        }
        guard isConnected == 0 else {
          close(client)
          close(server)
          continue
        }
        Thread.detachNewThread {
          Self.forward(from: client, to: server, limit: .max)
          close(server)
        }
        Thread.detachNewThread {
          Self.forward(from: server, to: client, limit: limit)
          close(client)
        }
      }
    }
  }

  deinit {
    shutdown(listener, Int32(SHUT_RDWR))
    close(listener)
  }

  private static func loopback(port: Int) -> sockaddr_in {
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = in_port_t(port).bigEndian
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    return address
  }

  /// Until either side closes or `limit` bytes went through; then both are shut down.
  private static func forward(from source: Int32, to target: Int32, limit: Int) {
    var buffer = [UInt8](repeating: 0, count: 1024)
    var left = limit
    while left > 0 {
      let count = read(source, &buffer, min(buffer.count, left))
      guard count > 0, send(target, buffer, count, Int32(MSG_NOSIGNAL)) == count else { break }
      left -= count
    }
    shutdown(source, Int32(SHUT_RDWR))
    shutdown(target, Int32(SHUT_RDWR))
  }
}
