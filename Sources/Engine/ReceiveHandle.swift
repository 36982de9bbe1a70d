import ServingTypes

/// A request whose prompt's blocks come from another worker, or in the end are computed here after all.
///
/// In order: `reserve()`, then for each candidate `heldBlocks`, `bind()`, `commit` for each block; in the end `complete`
/// or, at any time, `computeHere()` or `cancel()`. Without any of these the request is cancelled when the handle is gone.
public final class ReceiveHandle: Sendable {
  public let id: RequestID
  private let generation: GenerationHandle
  private let lifetime: RequestLifetime

  init(id: RequestID, sampleCount: Int, buffer: EventBuffer<GenerationEvent>, lifetime: RequestLifetime) {
    self.id = id
    self.lifetime = lifetime
    generation = GenerationHandle(id: id, sampleCount: sampleCount, buffer: buffer, lifetime: lifetime)
  }

  /// Waits in the queue until capacity is promised, and for other requests that bring in blocks of the same chain.
  ///
  /// Cancelling the task cancels the request.
  /// - Returns: the number of leading blocks that are here already; they are kept.
  /// - Throws: `resourceExhausted` after `maxQueueWait`, `deadlineExceeded`, `cancelled`, `unavailable`.
  public func reserve() async throws(ServingError) -> Int {
    try await ask { .reserve(self.lifetime.key, $0) }
  }

  /// Binds block ids for everything beyond what is held; waits until blocks are free. Again for the next candidate:
  /// slots that were not committed are the same blocks.
  ///
  /// Cancelling the task cancels the request.
  /// - Throws: `aborted` where the prompt is computed here by now, because blocks were short: all that is left is
  ///   `computeHere()`, for its handle; `failedPrecondition` before `reserve()`; and as `reserve()` does.
  public func bind() async throws(ServingError) -> [BlockSlot] {
    try await ask { .bind(self.lifetime.key, $0) }
  }

  /// The slot's bytes are written and were verified: hash, layout and checksum. Later requests find the block at once.
  public func commit(index: Int, checksum: UInt32) {
    lifetime.mailbox.post(.commit(lifetime.key, index: index, checksum: checksum))
  }

  /// Leading blocks that are here by now; 0 before `reserve()`.
  public var heldBlocks: Int {
    get async {
      let result: Result<Int, ServingError> = await withCheckedContinuation { reply in
        if !lifetime.mailbox.post(.heldBlocks(lifetime.key, reply)) { reply.resume(returning: .success(0)) }
      }
      return result.value(or: 0)
    }
  }

  /// The hand-off is done: the first tokens come out of the returned handle, then decoding goes on. What was not
  /// committed, or has no first token, is computed here.
  public func complete(_ end: PrefillEnd) -> GenerationHandle {
    lifetime.mailbox.post(.complete(lifetime.key, end))
    return generation
  }

  /// Gives up the hand-off: keeps what was committed and computes the rest here. Legal at any time before `complete`.
  public func computeHere() -> GenerationHandle {
    lifetime.mailbox.post(.computeHere(lifetime.key))
    return generation
  }

  /// Ends the request and gives everything back.
  public func cancel() { lifetime.cancel() }

  private func ask<Value: Sendable>(
    _ command: @Sendable (EngineCommand.Reply<Value>) -> EngineCommand
  ) async throws(ServingError) -> Value {
    let lifetime = lifetime
    let result: Result<Value, ServingError> = await withTaskCancellationHandler {
      await withCheckedContinuation { reply in
        if !lifetime.mailbox.post(command(reply)) { reply.resume(returning: .failure(EngineMailbox.stopped)) }
      }
    } onCancel: {
      lifetime.cancel()
    }
    switch result {
    case .success(let value): return value
    // A request that ended meanwhile knows better why.
    case .failure(let error): throw generation.events.buffer.failure ?? error
    }
  }
}

extension Result {
  /// The value, or on failure the given one.
  func value(or other: Success) -> Success {
    switch self {
    case .success(let value): value
    case .failure: other
    }
  }
}
