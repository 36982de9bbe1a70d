import ServingTypes

/// Runs an engine's loop on a thread of its own.
struct EngineThread {
  private static let stackBytes = 8 << 20

  private let loop: EngineLoop
  private var isStarted = false

  init(loop: EngineLoop) { self.loop = loop }

  /// One pass on the caller's thread.
  func turn() -> EngineTurn {
    precondition(!isStarted, "the engine runs on its own thread")
    return loop.turnByHand()
  }

  mutating func start() {
    guard !isStarted else { return }
    isStarted = true
    nonisolated(unsafe) let loop = loop  // safe: from here on only its thread touches it
    if !DetachedThread.start(stackBytes: Self.stackBytes, { loop.run() }) { loop.refuseEverything() }
  }
}
