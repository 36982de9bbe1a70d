import Directory
import Foundation
import ServingTypes
import Testing

/// TLS to Redis: encrypted, and never to somebody else.
@Suite(.enabled(if: RedisServer.isInstalled && RedisCertificates.canBeMade, "redis-server or openssl is not installed"))
struct RedisEncryptionTests {
  func server(_ certificates: RedisCertificates, port: Int) throws -> RedisServer {
    try RedisServer([
      "--tls-port", "\(port)", "--tls-cert-file", certificates.path("redis.pem"), "--tls-key-file",
      certificates.path("redis.key"), "--tls-ca-cert-file", certificates.path("ca.pem"), "--requirepass", "pw",
    ])
  }

  @Test func worksAndChecksBothSides() async throws {
    let certificates = try RedisCertificates()
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
