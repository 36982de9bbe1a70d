import KVCache
import Scheduling
import ServingTypes

/// What other threads ask of the engine's thread. Each carries a request's key, or the continuation that waits for it.
enum EngineCommand: Sendable {
  typealias Reply<Value: Sendable> = CheckedContinuation<Result<Value, ServingError>, Never>

  case submit(Submission)
  case cancel(UInt64)
  case stopSample(UInt64, sample: Int)
  case reserve(UInt64, Reply<Int>)
  case bind(UInt64, Reply<[BlockSlot]>)
  case commit(UInt64, index: Int, checksum: UInt32)
  case complete(UInt64, PrefillEnd)
  case computeHere(UInt64)
  case heldBlocks(UInt64, Reply<Int>)
  case fetched(UInt64, checksum: UInt32)
  case endFetch(UInt64, FetchReport)
  case lend([BlockHash], Reply<[BlockLoan]>)
  case cacheChanges(Reply<CacheChanges>)
  case checkIntegrity(Reply<Void>)
  case drain(Reply<Void>)
  case stop(Reply<Void>)
  /// Nobody can ask for anything any more.
  case abandon

  var isSubmission: Bool {
    if case .submit = self { true } else { false }
  }

  /// Answers whoever waits for a command that nobody will carry out.
  func refuse(_ error: ServingError) {
    switch self {
    case .submit(let submission): submission.sink.close(error)
    case .reserve(_, let reply): reply.resume(returning: .failure(error))
    case .bind(_, let reply): reply.resume(returning: .failure(error))
    case .heldBlocks(_, let reply): reply.resume(returning: .success(0))
    case .lend(_, let reply): reply.resume(returning: .success([]))
    case .cacheChanges(let reply): reply.resume(returning: .success(CacheChanges()))
    case .checkIntegrity(let reply): reply.resume(returning: .failure(error))
    case .drain(let reply), .stop(let reply): reply.resume(returning: .success(()))
    case .cancel, .stopSample, .commit, .complete, .computeHere, .fetched, .endFetch, .abandon: break
    }
  }
}

/// An accepted request on its way to the engine's thread.
struct Submission: Sendable {
  enum Kind: Sendable {
    case generate
    case prefill(heldBlocks: Int)
    case receive
  }

  enum Sink: Sendable {
    case generation(EventBuffer<GenerationEvent>)
    case prefill(EventBuffer<PrefillEvent>)

    func close(_ error: ServingError?) {
      switch self {
      case .generation(let buffer): buffer.close(error)
      case .prefill(let buffer): buffer.close(error)
      }
    }
  }

  var key: UInt64
  var request: EngineRequest
  var kind: Kind
  /// `request.prefix`, and the hashes of its full blocks.
  var prefix: [TokenID]
  var hashes: [BlockHash]
  var seed: UInt64
  var arrival: ContinuousClock.Instant
  var sink: Sink
}
