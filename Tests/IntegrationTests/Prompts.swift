import Foundation
import ServingProtos
import ServingTypes

/// Requests of the tests, as equal prompts for every kind of process.
enum Prompts {
  /// Words without meaning but with structure: repeated runs make drafts, different seeds make different texts.
  static func words(_ count: Int, seed: UInt64) -> String {
    let vocabulary = [
      "river", "stone", "the", "of", "and", "old", "bridge", "water", "under", "light", "seven", "trees", "walk", "to",
      "quiet", "morning", "bread", "letter", "window", "green", "a", "hill", "train", "north", "story", "glass",
    ]
    var state = seed &* 0x9E37_79B9_7F4A_7C15 &+ 1
    var words: [String] = []
    for _ in 0..<count {
      state ^= state << 13
      state ^= state >> 7
      state ^= state << 17
      words.append(vocabulary[Int(state % UInt64(vocabulary.count))])
    }
    return words.joined(separator: " ")
  }

  static func greedy(_ prompt: String, maxTokens: UInt32) -> Baton_V1_GenerateRequest {
    .with { request in
      request.text = prompt
      request.explain = true
      request.sampling = .with {
        $0.temperature = 0
        $0.maxTokens = maxTokens
        $0.ignoreEos = true
      }
    }
  }

  /// `count` requests over `groups` shared beginnings, some greedy, some sampled with a seed.
  static func sharing(_ count: Int, groups: Int, maxTokens: UInt32) -> [Baton_V1_GenerateRequest] {
    (0..<count).map { index in
      let start = words(120, seed: UInt64(index % groups) + 1)
      var request = greedy(start + ". " + words(4 + index % 9, seed: UInt64(1000 + index)), maxTokens: maxTokens)
      if index % 3 == 2 {
        request.sampling.temperature = 0.9
        request.sampling.topP = 0.95
        request.sampling.seed = UInt64(index)
      }
      return request
    }
  }
}
