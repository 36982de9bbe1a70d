import GRPCCore
import RPC
import ServingProtos
import SwiftProtobuf
import Testing

@Suite(.timeLimit(.minutes(3)))
struct ReflectionServiceTests {
  private typealias Request = Grpc_Reflection_V1_ServerReflectionRequest
  private typealias Response = Grpc_Reflection_V1_ServerReflectionResponse

  private func ask(_ questions: [Request]) async throws -> [Response] {
    var answers: [Response] = []
    try await withServer([try ReflectionService(services: ["baton.v1.Decode"])]) { server in
      try await withClient(to: server.address) { client in
        let stub = Grpc_Reflection_V1_ServerReflection.Client(wrapping: client)
        answers = try await stub.serverReflectionInfo(
          request: .init { writer in try await writer.write(contentsOf: questions) }
        ) { response in
          var answers: [Response] = []
          for try await answer in response.messages { answers.append(answer) }
          return answers
        }
      }
    }
    return answers
  }

  @Test func servicesAreListed() async throws {
    let answers = try await ask([.with { $0.listServices = "" }])
    let names = answers.first?.listServicesResponse.service.map(\.name)
    #expect(
      names == ["baton.v1.Decode", "grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"])
  }

  @Test(arguments: [
    "baton.v1.Decode", "baton.v1.Decode.Decode", "baton.v1.DecodeRequest",
    "grpc.health.v1.HealthCheckResponse.ServingStatus", "grpc.health.v1.HealthCheckResponse.SERVING",
    "grpc.health.v1.HealthCheckRequest.service",
  ])
  func symbolsComeWithTheFilesTheyNeed(symbol: String) async throws {
    let answers = try await ask([.with { $0.fileContainingSymbol = symbol }])
    let answer = try #require(answers.first)
    #expect(answer.originalRequest.fileContainingSymbol == symbol)
    let files = try answer.fileDescriptorResponse.fileDescriptorProto.map {
      try Google_Protobuf_FileDescriptorProto(serializedBytes: $0)
    }
    #expect(!files.isEmpty)
    let names = Set(files.map(\.name))
    for file in files { #expect(names.isSuperset(of: file.dependency)) }
    #expect(names.count == files.count)
    #expect(symbol.hasPrefix(try #require(files.first).package))
  }

  @Test func questionsWithoutAnswerLeaveTheStreamOpen() async throws {
    let answers = try await ask([
      .with { $0.fileByFilename = "nowhere.proto" }, .with { $0.fileContainingSymbol = "nothing" }, .init(),
      .with { $0.allExtensionNumbersOfType = "baton.v1.DecodeRequest" },
      .with { $0.fileByFilename = "grpc/health/v1/health.proto" },
    ])
    #expect(answers.map(\.errorResponse.errorCode) == [5, 5, 3, 0, 0])
    #expect(answers.last?.fileDescriptorResponse.fileDescriptorProto.count == 1)
  }

  @Test(.enabled(if: PythonTools.isPresent, "needs the Python of scripts/python-env, or BATON_TEST_PYTHON"))
  func theReferenceClientResolvesEveryType() async throws {
    let services = ["baton.v1.Decode", "baton.v1.Prefill", "baton.v1.Blocks", "grpc.health.v1.Health"]
    try await withServer([try ReflectionService(services: services)]) { server in
      let lines = try await PythonTools.run("reflect", server.address)
      #expect(lines.last == "done")
      #expect(lines.contains("baton.v1.Decode Decode baton.v1.DecodeRequest baton.v1.DecodeResponse"))
      #expect(
        lines.contains(
          "grpc.health.v1.Health Check grpc.health.v1.HealthCheckRequest grpc.health.v1.HealthCheckResponse"))
    }
  }
}
