import Engine
import GRPCCore
import ServingTypes

extension SendingHandoff {
  /// What a receiver may say after `open`.
  public enum Control: Hashable, Sendable {
    case credit(Int)
    case acknowledge(below: Int)
    /// A second `open`, or nothing.
    case unexpected
  }

  /// Sends until `end` was written.
  ///
  /// - Parameters:
  ///   - events: the engine's; nil when `lend` has said everything.
  ///   - requests: the stream's messages after `open`.
  ///   - control: reads one of them.
  ///   - stallTimeout: how long the receiver may take nothing while something waits for it.
  /// - Throws: the engine's error, `invalidArgument` when the receiver breaks the protocol, `deadlineExceeded` when
  ///   it stalls, `cancelled`.
  public func run<Request: Sendable>(
    events: EventStream<PrefillEvent>?, requests: sending RPCAsyncSequence<Request, any Error>.AsyncIterator,
    control: @escaping @Sendable (Request) -> Control, writer: RPCWriter<HandoffMessage<LentBlock>>,
    stallTimeout: Duration = .seconds(60)
  ) async throws {
    // Both are cancelled and awaited at this scope's end; what goes wrong in them reaches the writer through `fail`.
    async let _ = follow(events)
    async let _ = read(requests, control)
    try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask { try await self.write(to: writer) }
      group.addTask { try await self.watch(limit: stallTimeout) }
      defer { group.cancelAll() }
      try await group.next()
    }
  }
}

extension SendingHandoff {
  private func follow(_ events: EventStream<PrefillEvent>?) async {
    guard let events else { return }
    do {
      for try await event in events { try engine(event) }
    } catch {
      fail(error)
    }
  }

  private func read<Request: Sendable>(
    _ requests: RPCAsyncSequence<Request, any Error>.AsyncIterator, _ control: @Sendable (Request) -> Control
  ) async {
    var requests = requests
    do {
      while let request = try await requests.next() {
        switch control(request) {
        case .credit(let count): try credit(count)
        case .acknowledge(let index): try acknowledge(below: index)
        case .unexpected:
          throw ServingError(.invalidArgument, "a hand-off's caller sends open once, then credit and ack")
        }
      }
      try receiverClosed()
    } catch {
      fail(error)
    }
  }
}
