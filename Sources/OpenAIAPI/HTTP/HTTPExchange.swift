import HTTPTypes
import HummingbirdCore
import NIOCore
import Observability
import ServingTypes

/// One request and its answer.
///
/// The answer begins when its sender knows how it begins: an error before the first token can still have its status.
final class HTTPExchange: @unchecked Sendable {  // safe: one task at a time uses an exchange; see HTTPListener.respond
  let method: HTTPRequest.Method
  /// The path without the query, percent-decoded.
  let path: String
  let headers: HTTPFields
  /// What the client calls this request, or what we do when it says nothing usable.
  let requestID: RequestID
  let hasClientRequestID: Bool
  /// The client's trace, or a new one.
  let trace: TraceContext

  private let eventLoop: any EventLoop
  private let request: Request
  private var bodyIterator: RequestBody.AsyncIterator?
  private var writer: ResponseWriter?
  private var body: (any ResponseBodyWriter)?
  /// The status that was sent; nil until an answer begins.
  private(set) var status: Int?
  private(set) var isFinished = false
  /// Whether the connection cannot be used for another request.
  private(set) var closesConnection = false
  /// Set while a write waits for a client that does not read.
  private let writingSince = Lock<ContinuousClock.Instant?>(nil)

  init(_ request: Request, _ writer: consuming ResponseWriter, on eventLoop: any EventLoop) {
    self.eventLoop = eventLoop
    self.request = request
    method = request.method
    path = request.uri.path.removingPercentEncoding() ?? request.uri.path
    headers = request.headers
    let given = request.headers[.requestID].flatMap(Self.usableRequestID)
    hasClientRequestID = given != nil
    requestID = given ?? .random()
    trace = request.headers[.traceParent].flatMap { TraceContext(traceparent: $0) } ?? .random()
    self.writer = consume writer
  }

  /// Printable ASCII of reasonable length, so that it can stand in logs, headers and messages.
  private static func usableRequestID(_ text: String) -> RequestID? {
    (1...128).contains(text.utf8.count) && text.utf8.allSatisfy { (0x21...0x7E).contains($0) } ? RequestID(text) : nil
  }

  /// How long the oldest unfinished write has waited.
  var writeStall: Duration { writingSince.withLock { $0.map { .now - $0 } ?? .zero } }

  /// The request's whole body.
  ///
  /// - Parameter allowance: grows with what was read.
  func readBody(limit: Int, allowance: BodyAllowance) async throws -> [UInt8] {
    let tooLarge = APIError(
      status: 413, message: "the body is larger than \(limit) bytes, the most that is accepted", code: "body_too_large")
    if let length = headers[.contentLength].flatMap(Int.init), length > limit {
      closesConnection = true
      throw tooLarge
    }
    // Before any of it is read, where its size is known; but a client holds only what it sent.
    try refusing { try allowance.check(headers[.contentLength].flatMap(Int.init) ?? 0) }
    if headers[.expect]?.lowercased() == "100-continue" {
      guard let writer = writer.take() else { throw Self.begunTwice }
      try await writer.writeInformationalHead(HTTPResponse(status: .continue))
      self.writer = consume writer
    }
    var bytes: [UInt8] = []
    while let buffer = try await nextBodyPart() {
      guard bytes.count + buffer.readableBytes <= limit else {
        closesConnection = true
        throw tooLarge
      }
      try refusing { try allowance.grow(to: bytes.count + buffer.readableBytes) }
      bytes.append(contentsOf: buffer.readableBytesView)
    }
    return bytes
  }

  /// A body that is not read ends its connection.
  private func refusing(_ body: () throws -> Void) throws {
    do {
      try body()
    } catch {
      closesConnection = true
      throw error
    }
  }

  /// Reads on for a while, so that a client that is still sending sees the answer instead of a reset.
  func drain(limit: Int) async {
    var rest = limit
    do {
      while let buffer = try await nextBodyPart() {
        rest -= buffer.readableBytes
        if rest < 0 { return }
      }
    } catch {}
  }

  private func nextBodyPart() async throws -> ByteBuffer? {
    var iterator = bodyIterator ?? request.body.makeAsyncIterator()
    let part = try await iterator.next()
    bodyIterator = iterator
    return part
  }

  /// Sends a whole answer.
  func send(status: Int, headers: HTTPFields = [:], type: String, _ bytes: [UInt8]) async throws {
    var fields = head(headers, type: type)
    fields[.contentLength] = String(bytes.count)
    let body = method == .head ? [] : bytes
    let response = HTTPResponse(status: .init(code: status), headerFields: fields)
    guard let writer = writer.take() else { throw Self.begunTwice }
    self.status = status
    let payload = ResponseBody(byteBuffer: ByteBuffer(bytes: body))
    writingSince.withLock { $0 = .now }
    defer { writingSince.withLock { $0 = nil } }
    do {
      try await writer.write(response: response, body: payload)
    } catch is CancellationError {
      throw CancellationError()
    } catch {
      throw HTTPListener.Abandonment.clientGone
    }
    isFinished = true
  }

  func send(_ error: APIError) async throws {
    var fields = HTTPFields()
    if let delay = error.retryAfter {
      fields[.retryAfter] = String(max(1, Int(delay.components.seconds) + (delay.components.attoseconds > 0 ? 1 : 0)))
    }
    if error.status == 401 { fields[.wwwAuthenticate] = "Bearer" }
    try await send(status: error.status, headers: fields, type: "application/json", error.json + [UInt8(ascii: "\n")])
  }

  /// Begins an answer whose length is not known.
  func begin(status: Int, headers: HTTPFields = [:], type: String) async throws {
    guard let writer = writer.take() else { throw Self.begunTwice }
    let response = HTTPResponse(status: .init(code: status), headerFields: head(headers, type: type))
    self.status = status
    do {
      body = try await writer.writeHead(response)
    } catch is CancellationError {
      throw CancellationError()
    } catch {
      throw HTTPListener.Abandonment.clientGone
    }
  }

  /// Waits while the client is behind, and until the event loop has taken the bytes: its queue of tasks has no limit of
  /// its own, and the connection says that it is full only after it has seen what was written.
  func write(_ bytes: [UInt8]) async throws {
    guard var body else { throw ServingError(.internalError, "a body was written before its head") }
    let buffer = ByteBuffer(bytes: bytes)
    try await timed {
      try await body.write(buffer)
      try await eventLoop.submit {}.get()
    }
  }

  func finish(closing: Bool = false) async throws {
    if closing { closesConnection = true }
    guard let body = body.take() else { return }
    try await timed { try await body.finish(nil) }
    isFinished = true
  }

  private static var begunTwice: ServingError { ServingError(.internalError, "an answer was begun twice") }

  private func head(_ headers: HTTPFields, type: String) -> HTTPFields {
    var fields = headers
    fields[.contentType] = type
    fields[.requestID] = requestID.value
    fields[.server] = "baton"
    fields[.date] = HTTPDate.now
    if closesConnection { fields[.connection] = "close" }
    return fields
  }

  /// A write that fails does so because the client is gone.
  private func timed(_ write: () async throws -> Void) async throws {
    writingSince.withLock { $0 = .now }
    defer { writingSince.withLock { $0 = nil } }
    do {
      try await write()
    } catch is CancellationError {
      throw CancellationError()
    } catch {
      throw HTTPListener.Abandonment.clientGone
    }
  }
}

extension HTTPField.Name {
  static let traceParent = HTTPField.Name("traceparent") ?? .via
  static let requestID = HTTPField.Name("X-Request-Id") ?? .via
}

extension String {
  /// Nil when an escape is malformed or the result is no UTF-8.
  fileprivate func removingPercentEncoding() -> String? {
    var bytes: [UInt8] = []
    var rest = Array(utf8)[...]
    while let byte = rest.popFirst() {
      guard byte == UInt8(ascii: "%") else {
        bytes.append(byte)
        continue
      }
      guard rest.count >= 2, let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16) else {
        return nil
      }
      bytes.append(value)
      rest = rest.dropFirst(2)
    }
    return String(validating: bytes, as: UTF8.self)
  }
}
