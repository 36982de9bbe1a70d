import Directory
import Foundation
import Glibc
import ServingTypes

/// A redis-server of this benchmark's own, on a socket and, if wanted, on the loopback; its end ends it.
public final class LoopbackRedis {
  private let process: Process
  private let folder: URL
  /// Where it answers.
  public let address: RedisAddress

  /// Returns when the server takes connections.
  /// - Parameter port: of the loopback; nil: a socket in a folder of its own.
  public init(port: Int? = nil) throws {
    let places = ["/usr/bin/redis-server", "/usr/local/bin/redis-server"]
    guard let executable = places.first(where: { FileManager.default.isExecutableFile(atPath: $0) }) else {
      throw ServingError(.failedPrecondition, "redis-server is not installed")
    }
    let name = "baton-redis-\(UUID().uuidString.prefix(8))"
    folder = FileManager.default.temporaryDirectory.appendingPathComponent(name)
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    let socket = folder.appendingPathComponent("redis.sock").path
    process = Process()
    process.executableURL = URL(fileURLWithPath: executable)
    process.arguments =
      ["--port", "\(port ?? 0)", "--bind", "127.0.0.1", "--unixsocket", socket, "--save", "", "--appendonly", "no"]
      + ["--dir", folder.path]
    process.standardOutput = FileHandle.nullDevice
    process.standardError = FileHandle.nullDevice
    address = RedisAddress(endpoint: port.map { .tcp(host: "127.0.0.1", port: $0) } ?? .unix(path: socket))
    try process.run()
    let deadline = Date(timeIntervalSinceNow: 30)
    // The socket is there as soon as it is listened on.
    while !FileManager.default.fileExists(atPath: socket) {
      guard process.isRunning, Date() < deadline else {
        throw ServingError(.unavailable, "redis-server did not start")
      }
      Thread.sleep(forTimeInterval: 0.005)
    }
  }

  deinit {
    // It may have inherited a mask that holds back SIGTERM, and has nothing to save.
    kill(process.processIdentifier, SIGKILL)
    process.waitUntilExit()
    try? FileManager.default.removeItem(at: folder)
  }
}
