import GRPCCore
import GRPCTransport
import Testing

@Suite(.enabled(if: TestCertificates.isPossible, "needs the openssl command"), .timeLimit(.minutes(3)))
struct SecurityTests {
  private func echo(
    server: ServerSecurity, client: ClientSecurity, method: MethodDescriptor = ConformanceService.unary
  ) async throws -> Result<[UInt8], RPCError> {
    var result: Result<[UInt8], RPCError>?
    var serverConfiguration = LibGRPCServerTransport.Configuration()
    serverConfiguration.security = server
    var clientConfiguration = LibGRPCClientTransport.Configuration()
    clientConfiguration.security = client
    try await withServer(configuration: serverConfiguration) { server, _ in
      try await withClient(to: server.address, configuration: clientConfiguration) { client in
        do {
          let reply = try await client.callUnary(.pattern(100_000, seed: 1), method: method)
          result = .success(reply.message)
        } catch let error as RPCError {
          result = .failure(error)
        }
      }
    }
    return try #require(result)
  }

  @Test func tlsCarriesCallsAndChecksTheServer() async throws {
    let certificates = try TestCertificates()
    let server = ServerSecurity.tls(ServerTLS(identity: try certificates.issue("server.test")))
    let roots = try certificates.authority
    let right = try await echo(
      server: server, client: .tls(ClientTLS(trustedRoots: roots, serverName: "server.test")))
    #expect(try right.get() == .pattern(100_000, seed: 1))
    let wrongName = try await echo(
      server: server, client: .tls(ClientTLS(trustedRoots: roots, serverName: "other.test")))
    #expect(throws: RPCError.self) { try wrongName.get() }
    let stranger = try TestCertificates().authority
    let wrongRoots = try await echo(
      server: server, client: .tls(ClientTLS(trustedRoots: stranger, serverName: "server.test")))
    #expect(throws: RPCError.self) { try wrongRoots.get() }
    let plaintext = try await echo(server: server, client: .plaintext)
    #expect(throws: RPCError.self) { try plaintext.get() }
  }

  @Test func mutualTLSChecksTheClientAndNamesIt() async throws {
    let certificates = try TestCertificates()
    let roots = try certificates.authority
    let server = ServerSecurity.tls(
      ServerTLS(identity: try certificates.issue("server.test"), clientRoots: roots))
    var client = ClientTLS(trustedRoots: roots, serverName: "server.test")
    let nobody = try await echo(server: server, client: .tls(client))
    #expect(throws: RPCError.self) { try nobody.get() }
    client.identity = try certificates.issue("worker-7.test")
    let known = try await echo(server: server, client: .tls(client), method: ConformanceService.peer)
    #expect(String(decoding: try known.get(), as: UTF8.self).hasSuffix("worker-7.test"))
    client.identity = try TestCertificates().issue("worker-7.test")
    let forged = try await echo(server: server, client: .tls(client))
    #expect(throws: RPCError.self) { try forged.get() }
  }

  @Test func unusableMaterialIsRefused() async throws {
    var configuration = LibGRPCServerTransport.Configuration()
    configuration.security = .tls(ServerTLS(identity: CertifiedKey(certificateChain: "no", privateKey: "no")))
    #expect(throws: RPCError.self) {
      _ = try LibGRPCServerTransport(address: "127.0.0.1:0", configuration: configuration)
    }
    #expect(!"\(CertifiedKey(certificateChain: "chain", privateKey: "secret"))".contains("secret"))
  }
}
