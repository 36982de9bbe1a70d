import Engine
import Foundation
import GRPCTransport
import KVTransfer
import PrefillServer
import RPC
import ServingProtos
import ServingTypes

/// A tiny request that a worker sends to itself, through its own services and its own connections.
///
/// It is shorter than a block and has a salt of its own, so that it leaves nothing in any cache and nothing to announce.
struct SelfTest: Sendable {
  private static let newTokens = 2

  let engine: EngineCore
  let worker: WorkerState
  let channels: ChannelPool
  /// Where this worker answers.
  let address: ServerAddress

  /// Runs what the role allows: a prompt, its transfer and its decoding.
  ///
  /// - Throws: what went wrong.
  func run(deadline: ContinuousClock.Instant) async throws {
    if worker.role.servesDecode { try await decode(deadline: deadline) }
    if worker.role.servesPrefill { try await prefill(deadline: deadline) }
    try await fetch(deadline: deadline)
  }

  private var prompt: [TokenID] {
    // With the answer it stays shorter than a block of 8, the smallest there is.
    (0..<TokenID(min(4, max(1, engine.maximumContextLength - Self.newTokens)))).map {
      $0 % TokenID(clamping: engine.vocabularySize)
    }
  }

  private var sampling: SamplingParameters {
    SamplingParameters(temperature: 0, seed: 0, maxTokens: Self.newTokens, ignoreEOS: true, speculative: false)
  }

  private func decode(deadline: ContinuousClock.Instant) async throws {
    var request = Baton_V1_DecodeRequest()
    request.requestID = "self-test-\(RequestID.random().value.prefix(8))"
    request.promptTokens = wireTokens(prompt)
    request.sampling = Baton_V1_SamplingParameters(sampling)
    request.cacheSalt = worker.selfTestSalt
    // No client's request shall make room for it: a worker that is busy proves itself by that.
    request.priority = .min
    request.expectedIncarnation = worker.incarnation.value
    let message = request
    let (tokens, isFinished) = try await channels.withClient(of: address, for: .tokens) { client in
      try await withCallDeadline(deadline) {
        try await Baton_V1_Decode.Client(wrapping: client).decode(message) { response in
          var tokens = 0
          var isFinished = false
          for try await part in response.messages {
            for output in part.outputs {
              tokens += output.tokens.count
              isFinished = output.finishReason == .length
            }
          }
          return (tokens, isFinished)
        }
      }
    }
    guard tokens == Self.newTokens, isFinished else {
      throw ServingError(.internalError, "a decoding of \(Self.newTokens) tokens gave \(tokens)")
    }
  }

  private func prefill(deadline: ContinuousClock.Instant) async throws {
    var open = Baton_V1_PrefillOpen()
    open.requestID = "self-test-\(RequestID.random().value.prefix(8))"
    open.promptTokens = wireTokens(prompt)
    open.sampling = Baton_V1_SamplingParameters(sampling)
    open.cacheSalt = worker.selfTestSalt
    open.priority = .min
    open.expectedIncarnation = worker.incarnation.value
    open.layoutDigest = engine.layout.digest
    open.layout = engine.layout.description
    let tail = ExpectedBlock(
      index: 0, hash: nil,
      parentHash: BlockHash.root(salt: worker.selfTestSalt, blockSize: engine.layout.blockSize),
      tokenCount: prompt.count, tokens: prompt)
    try await take([tail], samples: [0], Baton_V1_PrefillRequest.with { $0.open = open }, deadline: deadline)
  }

  /// Asks for a block that nobody holds.
  private func fetch(deadline: ContinuousClock.Instant) async throws {
    var open = Baton_V1_FetchOpen()
    open.requestID = worker.selfTestSalt
    open.layoutDigest = engine.layout.digest
    open.layout = engine.layout.description
    open.expectedIncarnation = worker.incarnation.value
    open.hashes = [Data(BlockHash(high: .random(in: 0...UInt64.max), low: .random(in: 0...UInt64.max)).bytes)]
    open.parentHash = Data(BlockHash.root(salt: worker.selfTestSalt, blockSize: engine.layout.blockSize).bytes)
    try await take([], samples: [], Baton_V1_FetchRequest.with { $0.open = open }, deadline: deadline)
  }

  /// Receives `expected` as a worker does, into memory that belongs to nobody.
  private func take(
    _ expected: [ExpectedBlock], samples: [Int], _ open: some HandoffRequest, deadline: ContinuousClock.Instant
  ) async throws {
    let call = HandoffCall(
      open: open,
      receiver: .init(
        creditWindow: 1, blockBytes: engine.layout.blockBytes(), layerCount: engine.layout.groups[0].layers.count,
        vocabularySize: engine.vocabularySize, samples: samples))
    try await channels.withClient(of: address, for: .blocks) { client in
      _ = try await call.run(on: client, until: deadline, into: Scratch(expected: expected))
    }
  }

  private struct Scratch: HandoffDestination {
    let expected: [ExpectedBlock]

    func bind(_ count: Int) -> [ExpectedBlock] { expected }

    func write(_ block: ReceivedBlock, at position: Int) -> UInt32 {
      let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: block.payloadCount, alignment: 16)
      defer { memory.deallocate() }
      return block.write(to: memory)
    }

    func commit(at position: Int, checksum: UInt32) {}
  }
}
