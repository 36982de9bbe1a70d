import Foundation
import Testing

/// An authority and a certificate for 127.0.0.1, made for one test.
final class RedisCertificates {
  static let executable = "/usr/bin/openssl"
  static var canBeMade: Bool { FileManager.default.isExecutableFile(atPath: executable) }

  let folder: URL

  init() throws {
    folder = FileManager.default.temporaryDirectory.appendingPathComponent("baton-tls-\(UUID().uuidString.prefix(8))")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    let new = ["req", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    try openssl(new + ["-x509", "-subj", "/CN=authority", "-keyout", path("ca.key"), "-out", path("ca.pem")])
    try openssl(new + ["-subj", "/CN=redis", "-keyout", path("redis.key"), "-out", path("redis.csr")])
    try Data("subjectAltName=IP:127.0.0.1".utf8).write(to: folder.appendingPathComponent("names"))
    try openssl(
      ["x509", "-req", "-in", path("redis.csr"), "-CA", path("ca.pem"), "-CAkey", path("ca.key")]
        + ["-CAcreateserial", "-days", "2", "-extfile", path("names"), "-out", path("redis.pem")])
  }

  deinit { try? FileManager.default.removeItem(at: folder) }

  func path(_ name: String) -> String { folder.appendingPathComponent(name).path }

  private func openssl(_ arguments: [String]) throws {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: Self.executable)
    process.arguments = arguments
    process.standardError = FileHandle.nullDevice
    process.standardOutput = FileHandle.nullDevice
    try process.run()
    process.waitUntilExit()
    try #require(process.terminationStatus == 0)
  }
}
