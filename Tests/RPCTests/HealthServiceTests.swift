import GRPCCore
import RPC
import ServingProtos
import ServingTypes
import Testing

@Suite(.timeLimit(.minutes(3)))
struct HealthServiceTests {
  private typealias Wire = Grpc_Health_V1_HealthCheckResponse.ServingStatus

  private func check(_ client: Client, _ service: String) async throws -> Wire {
    try await Grpc_Health_V1_Health.Client(wrapping: client).check(.with { $0.service = service }).status
  }

  @Test func eachServiceHasItsStatus() async throws {
    let health = HealthService()
    try await withServer([health]) { server in
      try await withClient(to: server.address) { client in
        let result1 = try await check(client, "")
        #expect(result1 == .notServing)
        health.set(.serving)
        health.set(.notServing, for: "baton.v1.Decode")
        let result2 = try await check(client, "")
        #expect(result2 == .serving)
        let result3 = try await check(client, "baton.v1.Decode")
        #expect(result3 == .notServing)
        let unknown = await code { _ = try await check(client, "nobody") }
        #expect(unknown == .notFound)
        health.shutDown()
        health.set(.serving)
        let result4 = try await check(client, "")
        #expect(result4 == .notServing)
      }
    }
  }

  @Test func watchersSeeEachChange() async throws {
    let health = HealthService(maxWatchers: 1)
    try await withServer([health]) { server in
      try await withClient(to: server.address) { client in
        let stub = Grpc_Health_V1_Health.Client(wrapping: client)
        let seen = try await stub.watch(.with { $0.service = "late" }) { response in
          var seen: [Wire] = []
          for try await message in response.messages {
            seen.append(message.status)
            switch seen.count {
            case 1:
              let refused = await code {
                try await stub.watch(.with { $0.service = "" }) { for try await _ in $0.messages {} }
              }
              #expect(refused == .resourceExhausted)
              health.set(.serving, for: "late")
            case 2:
              health.set(.serving, for: "other")
              health.set(.notServing, for: "late")
            case 3: health.set(.serving, for: "late")
            case 4: health.shutDown()
            default: return seen
            }
          }
          return seen
        }
        #expect(seen == [.serviceUnknown, .serving, .notServing, .serving, .notServing])
      }
    }
  }

  @Test(.enabled(if: PythonTools.isPresent, "needs the Python of scripts/python-env, or BATON_TEST_PYTHON"))
  func theReferenceClientUnderstands() async throws {
    let health = HealthService()
    health.set(.serving)
    try await withServer([health]) { server in
      let serving = try await PythonTools.run("health", server.address, "")
      #expect(serving == ["SERVING"])
      let unknown = try await PythonTools.run("health", server.address, "nobody")
      #expect(unknown == ["NOT_FOUND"])
      let watched = try await PythonTools.run("watch", server.address, "") { line in
        if line == "SERVING" { health.set(.notServing) }
        return line != "NOT_SERVING"
      }
      #expect(watched == ["SERVING", "NOT_SERVING", "CANCELLED"])
    }
  }
}
