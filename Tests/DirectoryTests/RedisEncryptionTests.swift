import Directory
import Foundation
import ServingTypes
import Testing

/// TLS to Redis: encrypted, and never to somebody else.
@Suite(.enabled(if: RedisServer.isInstalled && RedisEncryptionTests.Certificates.canBeMade, "redis-server or openssl is not installed"))
struct RedisEncryptionTests {
  /// An authority and a certificate for 127.0.0.1, made for one test.
  final class Certificates {
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

  func server(_ certificates: Certificates, port: Int) throws -> RedisServer {
    try RedisServer([
      "--tls-port", "\(port)", "--tls-cert-file", certificates.path("redis.pem"), "--tls-key-file",
      certificates.path("redis.key"), "--tls-ca-cert-file", certificates.path("ca.pem"), "--requirepass", "pw",
    ])
  }

  @Test func worksAndChecksBothSides() async throws {
    let certificates = try Certificates()
    let port = try RedisServer.freePorts(1)[0]
    let server = try server(certificates, port: port)
    let trust = "tls_ca=\(certificates.path("ca.pem"))"
    let own = "&tls_certificate=\(certificates.path("redis.pem"))&tls_key=\(certificates.path("redis.key"))"
    let directory = try RedisDirectory(
      address: RedisAddress("rediss://:pw@127.0.0.1:\(port)?\(trust)\(own)"),
      configuration: RedisDirectoryTests.impatient)
    // More than one record of TLS, both ways.
    let blocks = chain(2000)
    try await directory.announce(blocks, as: announcing("a"), lifetime: .seconds(600))
    #expect(try await directory.depths(blocks, [("a", 1, 0)]) == ["a": 2000])
    // Without a certificate, with an authority that did not sign, under a name that is not in the certificate, in the clear.
    for address in [
      "rediss://:pw@127.0.0.1:\(port)?\(trust)", "rediss://:pw@127.0.0.1:\(port)",
      "rediss://:pw@localhost:\(port)?\(trust)\(own)", "redis://:pw@127.0.0.1:\(port)",
    ] {
      let stranger = try RedisDirectory(
        address: RedisAddress(address), configuration: RedisDirectoryTests.impatient)
      let error = await #expect(throws: ServingError.self, "\(address)") { _ = try await stranger.workers() }
      #expect(error?.message.contains("pw@") == false)
      #expect(!stranger.statistics.isConnected)
    }
    withExtendedLifetime(server) {}
  }
}
