import ArgumentParser
import ServingTypes

/// What `baton bench` measures.
struct BenchmarkPlan {
  enum Work: String, CaseIterable, ExpressibleByArgument {
    case prefill
    case decode
    case handoff
  }

  var works: Set<Work> = Set(Work.allCases)
  /// Lengths of prompts; nil is those of 512 and 2048 that the context holds.
  var prefill: [Int]?
  /// Sequences at once.
  var batch = [1, 8, 32]
  /// Contexts at which one sequence is decoded.
  var depth: [Int] = []
  /// Tokens that each sequence of a batch reads and writes.
  var prompt = 128
  var generate = 128
  var runs = 3

  /// The lengths to measure, or why the model's context cannot hold what was asked for.
  func prefillLengths(context: Int) throws(ServingError) -> [Int] {
    guard works.contains(.prefill) else { return [] }
    guard let prefill else { return [512, 2048].filter { $0 < context } }
    for length in prefill { try check(length, and: 1, context: context) }
    return prefill
  }

  func checkDecode(context: Int) throws(ServingError) {
    guard works.contains(.decode) else { return }
    for length in depth + (batch.isEmpty ? [] : [prompt]) { try check(length, and: generate, context: context) }
  }

  private func check(_ prompt: Int, and tokens: Int, context: Int) throws(ServingError) {
    guard prompt + tokens <= context else {
      throw ServingError(
        .invalidArgument, "\(prompt) tokens and \(tokens) new ones are more than the context of \(context) holds")
    }
  }
}
