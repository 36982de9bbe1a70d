import Foundation
import Glibc
import ServingTypes
import Testing

/// A real redis-server on a socket in a folder of its own, which a test starts, kills, stops and starts again.
final class RedisServer: @unchecked Sendable {  // safe: one test uses it, from one task at a time
  static let executable: String? = ["/usr/bin/redis-server", "/usr/local/bin/redis-server"].first {
    FileManager.default.isExecutableFile(atPath: $0)
  }
  static var isInstalled: Bool { executable != nil }

  let folder: URL
  /// On the loopback; nil where only the socket is listened on.
  let port: Int?
  /// Those of the next start.
  var arguments: [String]
  private var process: Process?

  var socket: String { folder.appendingPathComponent("redis.sock").path }

  /// Comes before the arguments.
  private let configurationFile: String?

  init(_ arguments: [String] = [], port: Int? = nil, configurationFile: String? = nil) throws {
    self.arguments = arguments
    self.port = port
    self.configurationFile = configurationFile
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
      (configurationFile.map { [$0] } ?? [])
      + ["--port", "\(port ?? 0)", "--bind", "127.0.0.1", "--unixsocket", socket, "--save", "", "--appendonly", "no"]
      + ["--dir", folder.path] + arguments
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

  /// Runs a command by redis-cli and returns what it prints.
  @discardableResult
  func ask(_ arguments: String..., login: String? = nil) throws -> String {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments =
      ["redis-cli", "-s", socket] + (login.map { ["-a", $0, "--no-auth-warning"] } ?? []) + arguments
    let output = Pipe()
    process.standardOutput = output
    process.standardError = FileHandle.nullDevice
    try process.run()
    let data = output.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    // Thrown, not recorded: who waits for a failover asks again, and a sentinel cuts connections in it.
    guard process.terminationStatus == 0 else {
      throw ServingError(.unavailable, "redis-cli \(arguments) ended with \(process.terminationStatus)")
    }
    return String(decoding: data, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
  }

  /// Ports of the loopback that nobody listens on.
  static func freePorts(_ count: Int) throws -> [Int] {
    var descriptors: [Int32] = []
    defer { for descriptor in descriptors { close(descriptor) } }
    return try (0..<count).map { _ in
      let descriptor = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
      descriptors.append(descriptor)
      var address = sockaddr_in()
      address.sin_family = sa_family_t(AF_INET)
      address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
      var size = socklen_t(MemoryLayout<sockaddr_in>.size)
      let isBound = withUnsafeMutablePointer(to: &address) { address in
        address.withMemoryRebound(to: sockaddr.self, capacity: 1) {
          bind(descriptor, $0, size) == 0 && getsockname(descriptor, $0, &size) == 0
        }
      }
      try #require(isBound)
      return Int(UInt16(bigEndian: address.sin_port))
    }
  }

  private func signal(_ number: Int32, wait: Bool) {
    guard let process, process.isRunning else { return }
    Foundation.kill(process.processIdentifier, number)
    if wait { process.waitUntilExit() }
  }
}
