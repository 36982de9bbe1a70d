import Foundation
import Glibc
import Testing

/// A real redis-server on a socket in a folder of its own, which a test starts, kills, stops and starts again.
final class RedisServer: @unchecked Sendable {  // safe: one test uses it, from one task at a time
  static let executable: String? = ["/usr/bin/redis-server", "/usr/local/bin/redis-server"].first {
    FileManager.default.isExecutableFile(atPath: $0)
  }
  static var isInstalled: Bool { executable != nil }

  let folder: URL
  private let arguments: [String]
  private var process: Process?

  var socket: String { folder.appendingPathComponent("redis.sock").path }

  init(_ arguments: [String] = []) throws {
    self.arguments = arguments
    folder = FileManager.default.temporaryDirectory.appendingPathComponent("baton-redis-\(UUID().uuidString.prefix(8))")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    try start()
  }

  deinit {
    kill()
    try? FileManager.default.removeItem(at: folder)
  }

  /// Returns when the server takes connections.
  func start() throws {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: try #require(Self.executable))
    process.arguments =
      ["--port", "0", "--unixsocket", socket, "--save", "", "--appendonly", "no", "--dir", folder.path] + arguments
    process.standardOutput = FileHandle.nullDevice
    process.standardError = FileHandle.nullDevice
    try? FileManager.default.removeItem(atPath: socket)
    try process.run()
    self.process = process
    let deadline = Date(timeIntervalSinceNow: 30)
    while !takesConnections {
      try #require(process.isRunning && Date() < deadline, "redis-server did not start")
      usleep(5000)
    }
  }

  private var takesConnections: Bool {
    let descriptor = Glibc.socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
    defer { close(descriptor) }
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: socket.utf8) }
    return withUnsafePointer(to: &address) { address in
      address.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) == 0
      }
    }
  }

  func kill() { signal(SIGKILL, wait: true) }
  func freeze() { signal(SIGSTOP, wait: false) }
  func thaw() { signal(SIGCONT, wait: false) }

  private func signal(_ number: Int32, wait: Bool) {
    guard let process, process.isRunning else { return }
    Foundation.kill(process.processIdentifier, number)
    if wait { process.waitUntilExit() }
  }
}
