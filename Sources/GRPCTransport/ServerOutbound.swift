import GRPCCore
import ServingTypes

/// What a server answers: head, messages, status. A single response leaves in one batch with its status.
final class ServerOutbound: ClosableRPCWriterProtocol, Sendable {
  typealias Element = RPCResponsePart<GRPCBytes>

  private struct State {
    var sentHead = false
    /// Of a single response: they wait for the status.
    var heldHead: Metadata?
    var heldMessage: GRPCBytes?
    /// Whoever wrote a message did not wait until it was on its way.
    var gaveUpWriting = false
    var ended = false
  }

  private let call: Call
  private let isSingle: Bool
  private let sendsAhead: Bool
  private let state = Lock(State())

  init(call: Call, isSingle: Bool, sendsAhead: Bool) {
    self.call = call
    self.isSingle = isSingle
    self.sendsAhead = sendsAhead
  }

  func write(_ element: Element) async throws {
    switch element {
    case .metadata(let metadata):
      try write(head: metadata)
    case .message(let bytes):
      try await write(message: bytes)
    case .status(let status, let metadata):
      // What was written before it goes before it.
      if sendsAhead, !state.withLock({ $0.gaveUpWriting }) { await waitUntilSent(before: status) }
      try end(status, metadata)
    }
  }

  func write(contentsOf elements: some Sequence<Element>) async throws {
    for element in elements { try await write(element) }
  }

  func finish() async {
    try? end(Status(code: .unknown, message: "the handler ended without a status"), [:])
  }

  func finish(throwing error: any Error) async {
    let error = error as? RPCError
    try? end(
      Status(code: Status.Code(error?.code ?? .unknown), message: error?.message ?? "the handler failed"),
      error?.metadata ?? [:])
  }

  /// How long an error waits for a client that does not read.
  private static let patience = Duration.seconds(1)

  private func waitUntilSent(before status: Status) async {
    if status.code == .ok || !call.isRunning(.sending) {
      _ = try? await call.waitUntilSent()
      return
    }
    await withTaskGroup(of: Void.self) { group in
      group.addTask { [call] in _ = try? await call.waitUntilSent() }
      group.addTask { try? await Task.sleep(for: Self.patience) }
      await group.next()
      group.cancelAll()
    }
  }

  private func write(head: Metadata) throws {
    if isSingle {
      state.withLock { $0.heldHead = head }
    } else {
      state.withLock { $0.sentHead = true }
      try call.sendHead(head)
    }
  }

  private func write(message bytes: GRPCBytes) async throws {
    if isSingle {
      let isFirst = state.withLock { state in
        defer { state.heldMessage = bytes }
        return state.heldMessage == nil
      }
      if !isFirst { throw RPCError(code: .internalError, message: "a second message was written to a single response") }
      return
    }
    let needsHead = state.withLock { state in
      defer { state.sentHead = true }
      return !state.sentHead
    }
    if needsHead { try call.sendHead([:]) }
    do {
      guard try await sendsAhead ? call.sendAhead(bytes) : call.send(bytes) else {
        throw RPCError(code: .cancelled, message: "the client cancelled the call, or is gone")
      }
    } catch {
      state.withLock { $0.gaveUpWriting = true }
      throw error
    }
  }

  /// Writes a message of a stream, after its head, where none before it is under way.
  ///
  /// - Returns: false where it can't be written at once: then `write` waits, or tells why not.
  func writeNow(_ bytes: GRPCBytes) -> Bool {
    guard sendsAhead, !isSingle, state.withLock({ $0.sentHead && !$0.ended }) else { return false }
    return call.sendNow(bytes)
  }

  private func end(_ status: Status, _ trailing: Metadata) throws {
    let held = state.withLock { state -> State? in
      if state.ended { return nil }
      defer {
        state.ended = true
        state.heldHead = nil
        state.heldMessage = nil
      }
      return state
    }
    guard let held else { return }
    // A write that its task gave up is still under way, and the status would wait behind it for the client to read.
    if status.code != .ok, call.isRunning(.sending), let code = RPCError.Code(status.code) {
      return call.cancel(code, status.message)
    }
    let message = status.code == .ok ? held.heldMessage : nil
    do {
      try call.sendEnd(
        status, trailing: trailing, head: held.sentHead ? nil : held.heldHead ?? [:], message: message)
    } catch {
      call.cancel(.internalError, "the response's metadata cannot be sent: \(error)")
      throw error
    }
  }
}
