import Foundation
import ServingTypes

/// Reads a streamed completion's server-sent events.
struct CompletionEvents {
  struct Choice: Decodable {
    var index: Int
    var text: String
    var finishReason: String?
  }

  enum Event {
    case choices([Choice])
    case done
  }

  private struct Chunk: Decodable {
    struct Failure: Decodable {
      var message: String
      var code: String?
    }

    var choices: [Choice]?
    var error: Failure?
  }

  private static let end = Data("\n\n".utf8)

  /// Bytes, since a character may come in two parts.
  private var rest = Data()

  /// - Throws: the error that the server sent in the stream.
  mutating func take(_ bytes: [UInt8]) throws -> [Event] {
    rest += bytes
    var events: [Event] = []
    while let end = rest.range(of: Self.end) {
      let line = String(decoding: rest[..<end.lowerBound], as: UTF8.self)
      rest = Data(rest[end.upperBound...])
      guard line.hasPrefix("data: ") else { continue }
      let data = line.dropFirst(6)
      if data == "[DONE]" {
        events.append(.done)
        continue
      }
      let decoder = JSONDecoder()
      decoder.keyDecodingStrategy = .convertFromSnakeCase
      let chunk = try decoder.decode(Chunk.self, from: Data(data.utf8))
      if let error = chunk.error { throw ServingError(.unavailable, error.message) }
      events.append(.choices(chunk.choices ?? []))
    }
    return events
  }

  /// - Throws: what a status other than 200 says.
  static func check(_ status: Int, _ body: String) throws {
    switch status {
    case 200: return
    case 429: throw ServingError(.resourceExhausted, body)
    case 400...499: throw ServingError(.invalidArgument, "HTTP \(status): \(body)")
    case 504: throw ServingError(.deadlineExceeded, body)
    default: throw ServingError(.unavailable, "HTTP \(status): \(body)")
    }
  }
}
