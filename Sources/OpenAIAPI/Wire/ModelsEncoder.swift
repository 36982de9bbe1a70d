import Observability
import Routing

/// Writes the answers of `/v1/models`.
enum ModelsEncoder {
  static func list(_ models: [ModelInformation]) -> [UInt8] {
    var bytes = Array("{\"object\":\"list\",\"data\":[".utf8)
    for (index, model) in models.enumerated() {
      if index > 0 { bytes.append(UInt8(ascii: ",")) }
      append(model, to: &bytes)
    }
    bytes.append(contentsOf: "]}\n".utf8)
    return bytes
  }

  static func one(_ model: ModelInformation) -> [UInt8] {
    var bytes: [UInt8] = []
    append(model, to: &bytes)
    bytes.append(UInt8(ascii: "\n"))
    return bytes
  }

  private static func append(_ model: ModelInformation, to bytes: inout [UInt8]) {
    bytes.append(contentsOf: "{\"id\":".utf8)
    JSONText.append(model.id, to: &bytes)
    bytes.append(contentsOf: ",\"object\":\"model\",\"created\":\(model.created),\"owned_by\":\"baton\"".utf8)
    bytes.append(contentsOf: ",\"max_model_len\":\(model.contextLength)}".utf8)
  }
}
