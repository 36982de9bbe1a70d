import Foundation
import GRPCCore
import GRPCTransport
import NIOCore
import RPC
import ServingProtos
import ServingTypes

/// Sends calls to one router, as its users do: a connection for each.
struct ChaosClient: Sendable {
  enum Transport: Hashable, Sendable {
    /// `baton.v1.Inference` at host:port.
    case grpc(String)
    /// OpenAI's completions at host:port.
    case http(String)
  }

  /// Returned by who reads an answer as it grows: go on, or break off.
  typealias Reader = @Sendable (ChaosAnswer) -> Bool

  let transport: Transport
  var timeout: Duration

  /// Reads an answer to its end, or as far as the reader wants.
  ///
  /// - Throws: the error that the router gave, `unavailable` when the connection ended early.
  func send(_ call: ChaosCall, read: @escaping Reader) async throws {
    switch transport {
    case .grpc(let target): try await sendGRPC(call, to: target, read: read)
    case .http(let address): try await sendHTTP(call, to: address, read: read)
    }
  }

  private func sendGRPC(_ call: ChaosCall, to target: String, read: @escaping Reader) async throws {
    let request = Baton_V1_GenerateRequest.with {
      $0.model = call.model
      $0.text = call.prompt
      $0.sampling = Baton_V1_SamplingParameters(call.sampling)
    }
    try await withGRPCClient(transport: try LibGRPCClientTransport(target: target)) { client in
      try await withCallDeadline(.now + timeout) {
        try await Baton_V1_Inference.Client(wrapping: client).generate(request) { response in
          var answer = ChaosAnswer(samples: call.sampling.n)
          for try await message in response.messages {
            for output in message.outputs where Int(output.sample) < answer.samples.count {
              answer.samples[Int(output.sample)].text += output.text
              switch output.finishReason {
              case .stop: answer.samples[Int(output.sample)].finish = "stop"
              case .length: answer.samples[Int(output.sample)].finish = "length"
              case .unspecified, .UNRECOGNIZED: break
              }
            }
            if !read(answer) { return }
          }
        }
      }
    }
  }

  private func sendHTTP(_ call: ChaosCall, to address: String, read: @escaping Reader) async throws {
    let encoder = JSONEncoder()
    encoder.keyEncodingStrategy = .convertToSnakeCase
    let body = String(decoding: try encoder.encode(CompletionBody(call)), as: UTF8.self)
    let (parts, input) = AsyncStream.makeStream(of: [UInt8].self)
    try await withThrowingTaskGroup(of: Bool.self) { group in
      group.addTask {
        defer { input.finish() }
        let answer: HTTPAnswer
        do {
          answer = try await HTTPClient(address: address).post("/v1/completions", json: body) { part in
            input.yield(Array(buffer: part))
          }
        } catch {
          throw ServingError(.unavailable, "the connection broke: \(error)")
        }
        try CompletionEvents.check(answer.status, answer.body)
        return true
      }
      group.addTask {
        var answer = ChaosAnswer(samples: call.sampling.n)
        var events = CompletionEvents()
        for await part in parts {
          for event in try events.take(part) {
            guard case .choices(let choices) = event else { return true }
            for choice in choices where answer.samples.indices.contains(choice.index) {
              answer.samples[choice.index].text += choice.text
              if let finish = choice.finishReason { answer.samples[choice.index].finish = finish }
            }
            if !read(answer) { return false }
          }
        }
        // Why there is no `[DONE]`, the other task says, unless it came to a good end.
        try Task.checkCancellation()
        return true
      }
      defer { group.cancelAll() }
      while let goesOn = try await group.next() { if !goesOn { return } }
    }
  }
}

/// The body of a completions request.
private struct CompletionBody: Encodable {
  var model: String
  var prompt: String
  var stream = true
  var maxTokens: Int?
  var temperature: Float
  var seed: UInt64?
  var n: Int
  var stop: [String]?
  var ignoreEos: Bool

  init(_ call: ChaosCall) {
    model = call.model
    prompt = call.prompt
    maxTokens = call.sampling.maxTokens
    temperature = call.sampling.temperature
    seed = call.sampling.seed
    n = call.sampling.n
    stop = call.sampling.stop.isEmpty ? nil : call.sampling.stop
    ignoreEos = call.sampling.ignoreEOS
  }
}
