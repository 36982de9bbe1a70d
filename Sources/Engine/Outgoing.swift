import KVCache
import ServingTypes

/// What the engine's thread has to say, kept back until the books are published.
enum Outgoing {
  case generation(EventBuffer<GenerationEvent>, GenerationEvent)
  case prefill(EventBuffer<PrefillEvent>, PrefillEvent)
  case close(Submission.Sink, ServingError?)
  case count(EngineCommand.Reply<Int>, Result<Int, ServingError>)
  case slots(EngineCommand.Reply<[BlockSlot]>, Result<[BlockSlot], ServingError>)
  case loans(EngineCommand.Reply<[BlockLoan]>, [BlockLoan])
  case changes(EngineCommand.Reply<CacheChanges>, CacheChanges)
  case done(EngineCommand.Reply<Void>, Result<Void, ServingError>)

  func send() {
    switch self {
    case .generation(let buffer, let event): buffer.put(event)
    case .prefill(let buffer, let event): buffer.put(event)
    case .close(let sink, let error): sink.close(error)
    case .count(let reply, let result): reply.resume(returning: result)
    case .slots(let reply, let result): reply.resume(returning: result)
    case .loans(let reply, let loans): reply.resume(returning: .success(loans))
    case .changes(let reply, let changes): reply.resume(returning: .success(changes))
    case .done(let reply, let result): reply.resume(returning: result)
    }
  }
}
