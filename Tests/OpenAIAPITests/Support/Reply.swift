import Foundation

/// An HTTP answer as it came over the wire.
struct Reply: Sendable {
  var status: Int
  var headers: [String: String]
  var body: [UInt8]
  /// Whether the body came to its proper end, by length or by its last chunk.
  var isComplete: Bool

  var text: String { String(decoding: body, as: UTF8.self) }

  var json: [String: Any] {
    get throws { try JSONSerialization.jsonObject(with: Data(body)) as? [String: Any] ?? [:] }
  }

  var error: [String: Any] {
    get throws { try json["error"] as? [String: Any] ?? [:] }
  }

  /// The data of each server-sent event.
  var events: [String] {
    text.components(separatedBy: "\n\n").filter { !$0.isEmpty }.map { event in
      event.hasPrefix("data: ") ? String(event.dropFirst(6)) : "not an event: \(event)"
    }
  }

  /// The events but the last, `[DONE]`, as JSON.
  var chunks: [[String: Any]] {
    get throws {
      try events.filter { $0 != "[DONE]" }.map {
        try JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any] ?? [:]
      }
    }
  }

  /// - Returns: the reply and the bytes that it took; nil while it is not all there.
  static func parse(_ bytes: [UInt8], atEnd: Bool) -> (Reply, Int)? {
    guard let headEnd = Data(bytes).range(of: Data("\r\n\r\n".utf8)) else { return nil }
    let lines = String(decoding: bytes[..<headEnd.lowerBound], as: UTF8.self).components(separatedBy: "\r\n")
    let status = Int(lines[0].split(separator: " ").dropFirst().first ?? "") ?? 0
    var headers: [String: String] = [:]
    for line in lines.dropFirst() {
      let parts = line.split(separator: ":", maxSplits: 1)
      headers[parts[0].lowercased()] = parts.count > 1 ? parts[1].trimmingCharacters(in: .whitespaces) : ""
    }
    let start = headEnd.upperBound
    var reply = Reply(status: status, headers: headers, body: [], isComplete: true)
    if status == 100 { return (reply, start) }
    if let length = headers["content-length"].flatMap(Int.init) {
      guard bytes.count >= start + length else { return nil }
      reply.body = Array(bytes[start..<start + length])
      return (reply, start + length)
    }
    var place = start
    while let lineEnd = Data(bytes[place...]).range(of: Data("\r\n".utf8)) {
      let sizeText = String(decoding: bytes[place..<place + lineEnd.lowerBound], as: UTF8.self)
      let size = Int(sizeText, radix: 16) ?? 0
      let chunkStart = place + lineEnd.upperBound
      guard bytes.count >= chunkStart + size + 2 else { break }
      reply.body += bytes[chunkStart..<chunkStart + size]
      place = chunkStart + size + 2
      if size == 0 { return (reply, place) }
    }
    reply.isComplete = false
    return atEnd ? (reply, bytes.count) : nil
  }
}
