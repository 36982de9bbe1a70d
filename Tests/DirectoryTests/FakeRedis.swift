import Foundation
import Glibc
import ServingTypes
import Testing

/// A server that speaks as much of Redis' protocol as a test needs, and lies as it is told to.
final class FakeRedis: Sendable {
  enum Answer: Sendable {
    case text(String)
    /// Byte by byte, with pauses, without end.
    case drip(String)
    /// The same bytes again and again, without end.
    case flood(first: String, then: String)
    case silence
    case hangUp
  }

  let folder: URL
  private let listener: Int32
  private let isOpen = Lock(true)
  private let accepted = Lock(0)
  private let received = Lock([String: Int]())

  var socket: String { folder.appendingPathComponent("redis.sock").path }
  /// Connections taken so far.
  var connections: Int { accepted.withLock { $0 } }
  /// Commands received so far, by name.
  func count(_ command: String) -> Int { received.withLock { $0[command, default: 0] } }

  /// What a well server says to a greeting.
  static let greetings: @Sendable ([String]) -> Answer? = { command in
    switch command.first?.uppercased() {
    case "PING": .text("+PONG\r\n")
    case "ROLE": .text("*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n")
    case "INFO": .text("$14\r\nrun_id:0123abc\r\n")
    default: nil
    }
  }

  /// - Parameter answer: to each command; nil leaves it to `greetings`.
  init(_ answer: @escaping @Sendable ([String]) -> Answer?) throws {
    folder = FileManager.default.temporaryDirectory.appendingPathComponent("baton-fake-\(UUID().uuidString.prefix(8))")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    let path = folder.appendingPathComponent("redis.sock").path
    let door = Glibc.socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
    let isBound = withUnsafePointer(to: &address) { address in
      address.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(door, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) == 0
      }
    }
    try #require(isBound && listen(door, 64) == 0)
    listener = door
    let (isOpen, accepted, received) = (isOpen, accepted, received)
    let isStarted = DetachedThread.start {
      while true {
        let descriptor = accept(door, nil, nil)
        guard descriptor >= 0, isOpen.withLock({ $0 }) else { return }
        accepted.withLock { $0 += 1 }
        _ = DetachedThread.start { Self.serve(descriptor, isOpen, received, answer) }
      }
    }
    try #require(isStarted)
  }

  deinit {
    isOpen.withLock { $0 = false }
    shutdown(listener, Int32(SHUT_RDWR))
    close(listener)
    try? FileManager.default.removeItem(at: folder)
  }

  private static func serve(
    _ descriptor: Int32, _ isOpen: Lock<Bool>, _ received: Lock<[String: Int]>,
    _ answer: @Sendable ([String]) -> Answer?
  ) {
    defer { close(descriptor) }
    var buffer: [UInt8] = []
    func say(_ text: String) -> Bool {
      let bytes = Array(text.utf8)
      return send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL)) == bytes.count
    }
    while isOpen.withLock({ $0 }) {
      guard let command = next(descriptor, &buffer) else { return }
      received.withLock { $0[command.first ?? "", default: 0] += 1 }
      switch answer(command) ?? greetings(command) ?? .text("-ERR unknown command\r\n") {
      case .text(let text): if !say(text) { return }
      case .drip(let text):
        for character in text where !say(String(character)) || !isOpen.withLock({ $0 }) { return }
        while isOpen.withLock({ $0 }), say("x") { usleep(2000) }
        return
      case .flood(let first, let then):
        if !say(first) { return }
        while isOpen.withLock({ $0 }), say(then) {}
        return
      case .silence: continue
      case .hangUp: return
      }
    }
  }

  /// The next command's arguments; nil when the client hung up.
  private static func next(_ descriptor: Int32, _ buffer: inout [UInt8]) -> [String]? {
    func line() -> String? {
      while true {
        if let end = buffer.firstIndex(of: UInt8(ascii: "\n")) {
          let text = String(decoding: buffer[..<end], as: UTF8.self)
          buffer.removeFirst(end + 1)
          return String(text.filter { $0 != "\r" && $0 != "\r\n" })
        }
        guard more() else { return nil }
      }
    }
    func more() -> Bool {
      var chunk = [UInt8](repeating: 0, count: 64 << 10)
      let count = recv(descriptor, &chunk, chunk.count, 0)
      guard count > 0 else { return false }
      buffer += chunk[..<count]
      return true
    }
    guard let head = line(), let count = Int(head.dropFirst()) else { return nil }
    var arguments: [String] = []
    for _ in 0..<count {
      guard let size = line(), let length = Int(size.dropFirst()) else { return nil }
      while buffer.count < length + 2 { guard more() else { return nil } }
      arguments.append(String(decoding: buffer[..<length], as: UTF8.self))
      buffer.removeFirst(length + 2)
    }
    return arguments
  }
}
