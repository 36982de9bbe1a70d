import GRPCCore
import GRPCTransport
import ServingTypes
import Testing

/// The service that both sides of the conformance tests speak; `Peer/peer.py` holds the same in Python.
///
/// `Unary` echoes. Metadata steer it: `x-status` and `x-message` fail the call; `x-initial` and `x-initial-bin` come back
/// in the head, `x-trailing` and `x-trailing-bin` in the trailer.
/// `Down` sends `words[0]` messages of `words[1]` bytes behind a head as `Unary`'s, and then, where `words[2]` is not 0, fails with
/// that code.
/// `DownAtOnce` does so too, for as long as the client is there, with messages that need not wait wherever that is possible.
/// `Up` answers the number of messages and of bytes. `Both` echoes each message.
/// `Hang` answers its head, and then nothing until it is cancelled. `Cancelled` answers how many `Hang`s were.
/// `Early` reads one message, answers three and is done. `Deadline` answers the milliseconds that it was given. `Peer` answers what the server knows of its client.
final class ConformanceService: RegistrableRPCService {
  static let service = ServiceDescriptor(fullyQualifiedService: "baton.test.Conformance")
  static func method(_ name: String, _ type: MethodDescriptor.RPCType) -> MethodDescriptor {
    MethodDescriptor(service: service, method: name, type: type)
  }
  static let unary = method("Unary", .unary)
  static let down = method("Down", .serverStreaming)
  static let downAtOnce = method("DownAtOnce", .serverStreaming)
  static let up = method("Up", .clientStreaming)
  static let both = method("Both", .bidirectionalStreaming)
  static let hang = method("Hang", .bidirectionalStreaming)
  static let stuck = method("Stuck", .bidirectionalStreaming)
  static let stuckAhead = method("StuckAhead", .bidirectionalStreaming)
  static let cancelled = method("Cancelled", .unary)
  static let deadline = method("Deadline", .unary)
  static let early = method("Early", .bidirectionalStreaming)
  static let peer = method("Peer", .unary)

  struct Counts {
    var started = 0
    var cancelled = 0
    var endedCleanly = 0
    var writtenBeforeHead = 0
    var writtenAtOnce = 0
  }
  let counts = Lock(Counts())

  func registerMethods<Transport: ServerTransport>(with router: inout RPCRouter<Transport>) {
    let serializer = RawSerializer()
    let deserializer = RawDeserializer()
    router.registerHandler(forMethod: Self.unary, deserializer: deserializer, serializer: serializer) { request, _ in
      let single = try await ServerRequest(stream: request)
      let trailing = request.metadata.renamed(from: "x-trailing")
      if let code = request.metadata.first("x-status").flatMap(Int.init), code != 0 {
        throw RPCError(
          code: RPCError.Code(Status.Code(rawValue: code) ?? .unknown) ?? .unknown,
          message: request.metadata.first("x-message") ?? "", metadata: trailing)
      }
      return StreamingServerResponse(
        single: ServerResponse(
          message: single.message, metadata: request.metadata.renamed(from: "x-initial"), trailingMetadata: trailing))
    }
    router.registerHandler(forMethod: Self.down, deserializer: deserializer, serializer: serializer) { request, _ in
      let message = try await ServerRequest(stream: request).message
      return StreamingServerResponse(metadata: request.metadata.renamed(from: "x-initial")) { writer in
        for index in 0..<Int(message.word(0)) {
          try await writer.write(.pattern(Int(message.word(1)), seed: index))
        }
        let code = Int(message.word(2))
        if code != 0, let code = RPCError.Code(Status.Code(rawValue: code) ?? .unknown) {
          throw RPCError(code: code, message: "asked for")
        }
        return ["x-trailing": "sent"]
      }
    }
    router.registerHandler(forMethod: Self.downAtOnce, deserializer: deserializer, serializer: serializer) {
      request, context in
      let message = try await ServerRequest(stream: request).message
      let writeNow = try #require(context.transportSpecific as? LibGRPCServerContext).writeNow
      if writeNow(GRPCBytes([1])) { self.counts.withLock { $0.writtenBeforeHead += 1 } }
      return StreamingServerResponse { writer in
        for index in 0..<Int(message.word(0)) {
          let bytes = [UInt8].pattern(Int(message.word(1)), seed: index)
          if writeNow(GRPCBytes(bytes)) {
            self.counts.withLock { $0.writtenAtOnce += 1 }
            continue
          }
          do { try await writer.write(bytes) } catch {
            self.counts.withLock { $0.cancelled += 1 }
            throw error
          }
        }
        return [:]
      }
    }
    router.registerHandler(forMethod: Self.up, deserializer: deserializer, serializer: serializer) { request, _ in
      var messages: UInt32 = 0
      var bytes: UInt32 = 0
      for try await message in request.messages {
        messages += 1
        bytes += UInt32(message.count)
      }
      self.counts.withLock { $0.endedCleanly += 1 }
      return StreamingServerResponse(single: ServerResponse(message: .init(words: [messages, bytes])))
    }
    router.registerHandler(forMethod: Self.both, deserializer: deserializer, serializer: serializer) { request, _ in
      StreamingServerResponse { writer in
        for try await message in request.messages { try await writer.write(message) }
        return [:]
      }
    }
    router.registerHandler(forMethod: Self.hang, deserializer: deserializer, serializer: serializer) { _, context in
      StreamingServerResponse { _ in
        self.counts.withLock { $0.started += 1 }
        // Both signals must come: the handle's and the task's.
        try? await context.cancellation.cancelled
        try? await Task.sleep(for: .seconds(3600))
        self.counts.withLock { $0.cancelled += 1 }
        throw RPCError(code: .cancelled, message: "seen")
      }
    }
    router.registerHandler(forMethod: Self.stuck, deserializer: deserializer, serializer: serializer) { _, _ in
      StreamingServerResponse { writer in
        self.counts.withLock { $0.started += 1 }
        await withTaskGroup(of: Void.self) { group in
          group.addTask {
            for index in 0... { guard (try? await writer.write(.pattern(1 << 16, seed: index))) != nil else { return } }
          }
          // Long after nobody reads any more; the handler's own task goes on.
          try? await Task.sleep(for: .milliseconds(300))
          group.cancelAll()
        }
        throw RPCError(code: .deadlineExceeded, message: "given up")
      }
    }
    router.registerHandler(forMethod: Self.stuckAhead, deserializer: deserializer, serializer: serializer) { _, _ in
      StreamingServerResponse { writer in
        self.counts.withLock { $0.started += 1 }
        try await writer.write(.pattern(8 << 20, seed: 0))
        throw RPCError(code: .deadlineExceeded, message: "given up")
      }
    }
    router.registerHandler(forMethod: Self.cancelled, deserializer: deserializer, serializer: serializer) { _, _ in
      let count = self.counts.withLock { $0.cancelled }
      return StreamingServerResponse(single: ServerResponse(message: .init(words: [UInt32(count)])))
    }
    router.registerHandler(forMethod: Self.deadline, deserializer: deserializer, serializer: serializer) { _, context in
      let left = context.deadline.map { ContinuousClock.now.duration(to: $0) / .milliseconds(1) }
      return StreamingServerResponse(
        single: ServerResponse(message: .init(words: [left.map { UInt32(max(0, $0)) } ?? .max])))
    }
    router.registerHandler(forMethod: Self.early, deserializer: deserializer, serializer: serializer) { request, _ in
      StreamingServerResponse { writer in
        for try await _ in request.messages { break }
        for index in 0..<3 { try await writer.write(.pattern(100, seed: index)) }
        return [:]
      }
    }
    router.registerHandler(forMethod: Self.peer, deserializer: deserializer, serializer: serializer) { _, context in
      let text = "\(context.remotePeer) \(context.localPeer) \(context.peerIdentities.joined(separator: ","))"
      return StreamingServerResponse(single: ServerResponse(message: .init(text)))
    }
  }
}

extension Metadata {
  func first(_ key: String) -> String? {
    for value in self[stringValues: key] { return value }
    return nil
  }

  func bytes(_ key: String) -> [[UInt8]] { Array(self[binaryValues: key]) }

  /// The entries of `key` and `key-bin`.
  func renamed(from key: String) -> Metadata {
    var result = Metadata()
    for value in self[stringValues: key] { result.addString(value, forKey: key) }
    for value in self[binaryValues: key + "-bin"] { result.addBinary(value, forKey: key + "-bin") }
    return result
  }
}
