import GRPCCore
import ServingTypes

/// What a client asks: head, messages, end. A single request leaves in one batch.
final class ClientOutbound: ClosableRPCWriterProtocol, Sendable {
  typealias Element = RPCRequestPart<GRPCBytes>

  private struct State {
    /// The head of a single request, which waits for the message.
    var heldHead: Metadata?
    var ended = false
    /// The server ended the call while we were writing; what it sent is still to be read.
    var peerEnded = false
  }

  private let call: Call
  private let isSingle: Bool
  private let waitForReady: Bool
  private let maxMessageBytes: Int?
  private let state = Lock(State())

  init(call: Call, isSingle: Bool, waitForReady: Bool, maxMessageBytes: Int?) {
    self.call = call
    self.isSingle = isSingle
    self.waitForReady = waitForReady
    self.maxMessageBytes = maxMessageBytes
  }

  func write(_ element: Element) async throws {
    switch element {
    case .metadata(let metadata):
      if isSingle {
        state.withLock { $0.heldHead = metadata }
      } else {
        try call.sendHead(metadata, waitForReady: waitForReady)
      }
    case .message(let bytes):
      try await write(message: bytes)
    }
  }

  func write(contentsOf elements: some Sequence<Element>) async throws {
    for element in elements { try await write(element) }
  }

  func finish() async {
    let (head, ended) = state.withLock { state in
      defer {
        state.heldHead = nil
        state.ended = true
      }
      return (state.heldHead, state.ended)
    }
    if ended { return }
    guard let head else { return call.sendEnd() }
    do {
      try call.sendHead(head, waitForReady: waitForReady, end: true)
    } catch {
      cancel(with: error)
    }
  }

  func finish(throwing error: any Error) async {
    let isOver = state.withLock { state in
      state.ended = true
      return state.peerEnded
    }
    if !isOver { cancel(with: error) }
  }

  private func write(message bytes: GRPCBytes) async throws {
    if let limit = maxMessageBytes, bytes.count > limit {
      throw RPCError(
        code: .resourceExhausted,
        message: "the request has \(bytes.count) bytes, more than the call's limit of \(limit)")
    }
    let (head, ended) = state.withLock { state in
      defer { state.heldHead = nil }
      if state.heldHead != nil { state.ended = true }
      return (state.heldHead, state.heldHead == nil && state.ended)
    }
    if ended { throw RPCError(code: .internalError, message: "a message was written after the request's end") }
    if let head {
      try call.sendHead(head, waitForReady: waitForReady, message: bytes, end: true)
    } else if try await !call.send(bytes) {
      state.withLock { $0.peerEnded = true }
      throw RPCError(code: .unavailable, message: "the server ended the call before the request was sent")
    }
  }

  private func cancel(with error: any Error) {
    if let error = error as? RPCError {
      call.cancel(error.code, error.message)
    } else {
      call.cancel(.unknown, "the request could not be written")
    }
  }
}
