import Foundation
import GRPCCore
import GRPCProtobuf
import ServingProtos
import ServingTypes

/// The standard reflection service, in both versions in use: tools learn from it what a server offers.
public struct ReflectionService: RegistrableRPCService {
  private typealias Request = Grpc_Reflection_V1_ServerReflectionRequest
  private typealias Response = Grpc_Reflection_V1_ServerReflectionResponse

  private let index: FileDescriptorIndex
  private let services: [String]

  /// - Parameter services: what the server offers, by full name; reflection itself is added.
  public init(services: [String]) throws {
    index = try .project()
    let own = [Grpc_Reflection_V1_ServerReflection.descriptor, Grpc_Reflection_V1alpha_ServerReflection.descriptor]
    self.services = Set(services + own.map(\.fullyQualifiedService)).sorted()
  }

  public func registerMethods<Transport: ServerTransport>(with router: inout RPCRouter<Transport>) {
    // The two versions differ in their package's name only, so one set of messages serves both.
    for method in [
      Grpc_Reflection_V1_ServerReflection.Method.ServerReflectionInfo.descriptor,
      Grpc_Reflection_V1alpha_ServerReflection.Method.ServerReflectionInfo.descriptor,
    ] {
      router.registerHandler(
        forMethod: method, deserializer: ProtobufDeserializer<Request>(), serializer: ProtobufSerializer<Response>()
      ) { request, _ in
        StreamingServerResponse { writer in
          for try await question in request.messages { try await writer.write(answer(question)) }
          return [:]
        }
      }
    }
  }

  private func answer(_ question: Request) -> Response {
    .with { response in
      response.validHost = question.host
      response.originalRequest = question
      switch question.messageRequest {
      case .fileByFilename(let name):
        response.set(index.files(named: name), or: "there is no file '\(name)'")
      case .fileContainingSymbol(let symbol):
        response.set(index.files(declaring: symbol), or: "there is no symbol '\(symbol)'")
      case .fileContainingExtension(let wanted):
        response.set(nil, or: "'\(wanted.containingType)' has no extension \(wanted.extensionNumber)")
      case .allExtensionNumbersOfType(let type):
        if index.files(declaring: type) == nil {
          response.set(nil, or: "there is no type '\(type)'")
        } else {
          response.allExtensionNumbersResponse = .with { $0.baseTypeName = type }
        }
      case .listServices:
        response.listServicesResponse = .with { list in
          list.service = services.map { name in .with { $0.name = name } }
        }
      case nil:
        response.errorResponse = .with {
          $0.errorCode = Int32(RPCError.Code.invalidArgument.rawValue)
          $0.errorMessage = "the request asks nothing"
        }
      }
    }
  }
}

extension Grpc_Reflection_V1_ServerReflectionResponse {
  fileprivate mutating func set(_ files: [Data]?, or message: String) {
    if let files {
      fileDescriptorResponse = .with { $0.fileDescriptorProto = files }
    } else {
      errorResponse = .with {
        $0.errorCode = Int32(RPCError.Code.notFound.rawValue)
        $0.errorMessage = message
      }
    }
  }
}
