import Foundation
import ServingProtos
import ServingTypes
import SwiftProtobuf

/// Which file describes what. Pure.
struct FileDescriptorIndex: Sendable {
  private struct File: Sendable {
    let serialized: Data
    let imports: [String]
  }

  private var files: [String: File] = [:]
  private var fileOfSymbol: [String: String] = [:]
  /// Every service described, sorted.
  private(set) var services: [String] = []

  /// - Parameter set: a serialized `google.protobuf.FileDescriptorSet`.
  init(serialized set: Data) throws {
    for file in try Google_Protobuf_FileDescriptorSet(serializedBytes: set).file {
      files[file.name] = File(serialized: try file.serializedBytes(), imports: file.dependency)
      let scope = file.package.isEmpty ? "" : file.package + "."
      for message in file.messageType { add(message, scope: scope, file: file.name) }
      for type in file.enumType { add(type, scope: scope, file: file.name) }
      for service in file.service {
        let name = scope + service.name
        services.append(name)
        fileOfSymbol[name] = file.name
        for method in service.method { fileOfSymbol["\(name).\(method.name)"] = file.name }
      }
    }
    services.sort()
  }

  /// What `Protos/` describes.
  static func project() throws -> FileDescriptorIndex {
    guard let set = Data(base64Encoded: FileDescriptors.base64) else {
      throw ServingError(.internalError, "the descriptors built in are damaged: generate them again")
    }
    return try FileDescriptorIndex(serialized: set)
  }

  /// The file and those that it imports, each once; nil where it is unknown.
  func files(named name: String) -> [Data]? {
    guard files[name] != nil else { return nil }
    var result: [Data] = []
    var seen: Set<String> = [name]
    var pending = [name]
    while let next = pending.popLast() {
      guard let file = files[next] else { continue }
      result.append(file.serialized)
      for name in file.imports where seen.insert(name).inserted { pending.append(name) }
    }
    return result
  }

  func files(declaring symbol: String) -> [Data]? { fileOfSymbol[symbol].flatMap { files(named: $0) } }

  private mutating func add(_ message: Google_Protobuf_DescriptorProto, scope: String, file: String) {
    let name = scope + message.name
    fileOfSymbol[name] = file
    for field in message.field { fileOfSymbol["\(name).\(field.name)"] = file }
    for group in message.oneofDecl { fileOfSymbol["\(name).\(group.name)"] = file }
    for nested in message.nestedType { add(nested, scope: name + ".", file: file) }
    for nested in message.enumType { add(nested, scope: name + ".", file: file) }
  }

  private mutating func add(_ type: Google_Protobuf_EnumDescriptorProto, scope: String, file: String) {
    fileOfSymbol[scope + type.name] = file
    // The values of an enum live beside it.
    for value in type.value { fileOfSymbol[scope + value.name] = file }
  }
}
