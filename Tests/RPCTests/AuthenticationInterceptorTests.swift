import GRPCCore
import RPC
import ServingProtos
import ServingTypes
import Testing

@Suite(.timeLimit(.minutes(3)))
struct AuthenticationInterceptorTests {
  private func ask(token: String?, open: Set<String>) async throws -> RPCError.Code? {
    let health = HealthService()
    let demanded = try AuthenticationInterceptor(token: "right-token", openServices: open)
    var result: RPCError.Code?
    try await withServer([health], interceptors: [demanded]) { server in
      let sent: [any ClientInterceptor] = try token.map { [try AuthenticationInterceptor(token: $0)] } ?? []
      try await withClient(to: server.address, interceptors: sent) { client in
        result = await code { _ = try await Grpc_Health_V1_Health.Client(wrapping: client).check(.init()) }
      }
    }
    return result
  }

  @Test func onlyTheRightTokenPasses() async throws {
    let result1 = try await ask(token: "right-token", open: [])
    #expect(result1 == nil)
    let result2 = try await ask(token: "wrong-token", open: [])
    #expect(result2 == .unauthenticated)
    let result3 = try await ask(token: "right-toke", open: [])
    #expect(result3 == .unauthenticated)
    let result4 = try await ask(token: "right-tokenright-token", open: [])
    #expect(result4 == .unauthenticated)
    let result5 = try await ask(token: nil, open: [])
    #expect(result5 == .unauthenticated)
    let result6 = try await ask(token: nil, open: ["grpc.health.v1.Health"])
    #expect(result6 == nil)
  }

  @Test(arguments: ["", "two words", "caf\u{e9}", "line\n"])
  func tokensThatCannotBeSentAreRefused(token: String) {
    #expect(throws: ServingError.self) { _ = try AuthenticationInterceptor(token: token) }
  }

  @Test func theTokenIsNotDescribed() throws {
    #expect(!"\(try AuthenticationInterceptor(token: "secret"))".contains("secret"))
  }
}
