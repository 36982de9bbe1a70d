import Observability

extension APIError {
  /// The error's JSON, without a newline.
  var json: [UInt8] {
    var bytes = Array("{\"error\":{\"message\":".utf8)
    JSONText.append(message, to: &bytes)
    bytes.append(contentsOf: ",\"type\":".utf8)
    JSONText.append(type, to: &bytes)
    for (name, value) in [("param", param), ("code", code)] {
      bytes.append(contentsOf: ",\"\(name)\":".utf8)
      if let value { JSONText.append(value, to: &bytes) } else { bytes.append(contentsOf: "null".utf8) }
    }
    bytes.append(contentsOf: "}}".utf8)
    return bytes
  }
}
