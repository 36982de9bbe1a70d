import Glibc

/// Runs an engine's loop on a thread of its own.
struct EngineThread {
  private let loop: EngineLoop
  private var isStarted = false

  init(loop: EngineLoop) { self.loop = loop }

  mutating func start() {
    guard !isStarted else { return }
    isStarted = true
    var attributes = pthread_attr_t()
    pthread_attr_init(&attributes)
    pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
    pthread_attr_setstacksize(&attributes, 8 << 20)
    defer { pthread_attr_destroy(&attributes) }
    var thread = pthread_t()
    let context = Unmanaged.passRetained(loop)
    let result = pthread_create(&thread, &attributes, runEngineLoop, context.toOpaque())
    if result != 0 {
      context.release()
      loop.refuseEverything()
    }
  }
}

private func runEngineLoop(_ context: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
  guard let context else { return nil }
  Unmanaged<EngineLoop>.fromOpaque(context).takeRetainedValue().run()
  return nil
}
