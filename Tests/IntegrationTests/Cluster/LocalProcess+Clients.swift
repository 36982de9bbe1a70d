import ClusterHarness
import Foundation
import GRPCCore
import GRPCTransport
import ServingProtos
import ServingTypes
import Testing

/// What a generation came to.
struct Answer: Hashable, Sendable {
  var tokens: [UInt32] = []
  var text = ""
  var logprobs: [Float] = []
  /// Of the prompt's tokens from the second on.
  var promptLogprobs: [Baton_V1_Token] = []
  var finish: Baton_V1_FinishReason = .unspecified
  var route = Baton_V1_Route()
  var usage = Baton_V1_Usage()

  /// Equal output, wherever it was made.
  func agrees(with other: Answer) -> Bool { tokens == other.tokens && text == other.text && finish == other.finish }
}

extension LocalProcess {
  func withClient<Result: Sendable>(
    _ body: @Sendable @escaping (GRPCClient<LibGRPCClientTransport>) async throws -> Result
  ) async throws -> Result {
    try await withGRPCClient(transport: try LibGRPCClientTransport(target: grpc)) { try await body($0) }
  }

  func statistics(checkIntegrity: Bool = false) async throws -> Baton_V1_WorkerStatistics {
    try await withClient { client in
      try await Baton_V1_Worker.Client(wrapping: client).statistics(.with { $0.checkIntegrity = checkIntegrity })
    }
  }

  /// Runs one generation to its end.
  ///
  /// - Parameter onMessage: called with the tokens so far; false breaks off, which cancels.
  func generate(
    _ request: Baton_V1_GenerateRequest, onMessage: @Sendable @escaping (Int) -> Bool = { _ in true }
  ) async throws -> Answer {
    try await withClient { client in
      try await Self.generate(request, over: client, onMessage: onMessage)
    }
  }

  static func generate(
    _ request: Baton_V1_GenerateRequest, over client: GRPCClient<LibGRPCClientTransport>,
    onMessage: @Sendable @escaping (Int) -> Bool = { _ in true }
  ) async throws -> Answer {
    try await Baton_V1_Inference.Client(wrapping: client).generate(request) { response in
      var answer = Answer()
      for try await message in response.messages {
        answer.promptLogprobs += message.promptLogprobs
        for output in message.outputs {
          answer.tokens += output.tokens.map(\.id)
          answer.logprobs += output.tokens.map(\.logprob)
          answer.text += output.text
          if output.finishReason != .unspecified { answer.finish = output.finishReason }
        }
        if message.hasRoute { answer.route = message.route }
        if message.hasUsage { answer.usage = message.usage }
        if !onMessage(answer.tokens.count) { break }
      }
      return answer
    }
  }

  /// An HTTP GET.
  func get(_ path: String) async throws -> HTTPAnswer {
    try await HTTPClient(address: http, timeout: .seconds(120)).get(path)
  }

  /// An HTTP POST of JSON.
  func post(_ path: String, _ body: Data) async throws -> HTTPAnswer {
    try await HTTPClient(address: http, timeout: .seconds(120)).post(path, bytes: Array(body))
  }

  /// What it ended with.
  func waitForExitCode() async throws -> Int32 {
    try await waitForExit()
    return try #require(exitCode)
  }
}
