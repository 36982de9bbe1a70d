import CgRPC
import GRPCCore
import Glibc

/// A completion queue of the library and the one thread that reads it.
///
/// Channels and servers on queues of their own never wait for each other's messages. The thread ends when the last
/// reference is gone, which is after the last call on the queue.
public final class CompletionQueue: Sendable {
  private let loop: CompletionLoop
  private let thread: pthread_t

  /// - Parameter name: names the thread; up to 15 characters are kept.
  /// - Throws: `RPCError` with code `resourceExhausted` where no thread can be had.
  public init(name: String = "grpc") throws {
    let loop = CompletionLoop(name: name)
    var thread = pthread_t()
    let retained = Unmanaged.passRetained(loop)
    let failure = pthread_create(
      &thread, nil,
      { argument in
        if let argument { Unmanaged<CompletionLoop>.fromOpaque(argument).takeRetainedValue().run() }
        return nil
      }, retained.toOpaque())
    guard failure == 0 else {
      retained.release()
      loop.discard()
      throw RPCError(code: .resourceExhausted, message: "cannot start the thread \(name): error \(failure)")
    }
    self.loop = loop
    self.thread = thread
  }

  deinit {
    loop.close()
    if loop.isCurrentThread {
      pthread_detach(thread)
    } else {
      pthread_join(thread, nil)
    }
  }

  /// Runs tasks on the queue's own thread, whoever resumes them: for the queue's events that saves a thread switch each. Tasks that
  /// outlive the queue go on in the global pool.
  ///
  /// Work that blocks or computes for long must not run here: it would stall every call on the queue.
  public var executor: any TaskExecutor { loop }

  var raw: OpaquePointer { loop.queue }
}
