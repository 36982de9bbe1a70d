import Foundation
import ServingTypes

/// What an independent implementation computed for one model: see Tests/Golden/README.md.
struct GoldenFile: Decodable {
  struct Reference: Decodable {
    var top10: [[Double]]
    var greedy: [TokenID]
    var greedyMargin: [Double]

    enum CodingKeys: String, CodingKey {
      case top10, greedy
      case greedyMargin = "greedy_margin"
    }
  }

  struct Divergence: Decodable {
    var kl: Double
  }

  struct Prompt: Decodable {
    var ids: [TokenID]
    var llamaCpp: Reference
    var float32: Reference?
    var divergence: Divergence?

    enum CodingKeys: String, CodingKey {
      case ids, float32
      case divergence = "llama_cpp_against_float32"
    }

    init(from decoder: any Decoder) throws {
      let container = try decoder.container(keyedBy: CodingKeys.self)
      ids = try container.decode([TokenID].self, forKey: .ids)
      float32 = try container.decodeIfPresent(Reference.self, forKey: .float32)
      divergence = try container.decodeIfPresent(Divergence.self, forKey: .divergence)
      llamaCpp = try Reference(from: decoder)
    }
  }

  var prompts: [String: Prompt]

  /// The prompts in a fixed order.
  var ordered: [(name: String, prompt: Prompt)] { prompts.sorted { $0.key < $1.key }.map { ($0.key, $0.value) } }

  static func load(_ name: String) throws -> GoldenFile {
    let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .appendingPathComponent("Golden/\(name).json")
    return try JSONDecoder().decode(GoldenFile.self, from: Data(contentsOf: file))
  }
}
