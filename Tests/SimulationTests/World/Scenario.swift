import DecodeServer
import Engine
import Routing
import ServingTypes

/// Everything that a schedule begins with, drawn from its seed.
struct Scenario: Sendable {
  enum DirectoryMood: Int, CaseIterable, Sendable {
    case sound
    /// Answers as of some time ago.
    case stale
    /// Says of workers that they hold what they don't.
    case wrong
    case empty
    case slow
    case failing
  }

  var seed: UInt64
  /// How it is had again, for messages.
  var origin: String
  var blockSize: Int
  var prefillWorkers: Int
  var decodeWorkers: Int
  var prefillBlocks: Int
  var decodeBlocks: Int
  var latency: ClosedRange<Duration>
  var stepTime: ClosedRange<Duration>
  var window: Int
  var engine: EngineConfiguration
  var decode: DecodeConfiguration
  var routing: RoutingConfiguration
  var sendStallTimeout = Duration.seconds(4)
  var restartDelay: ClosedRange<Duration>
  /// Whether a killed worker may come back with another model's weights under the same name.
  var changesWeights: Bool
  /// Whether the machine dies with the process, so that nobody closes its connections.
  var diesSilently: Bool
  var directory: DirectoryMood
  var requests: [PlannedRequest]
  var faults: [Fault]
  var mutants: Mutants = []

  static let vocabulary = LetterTokenizer()
  static let longestContext = 160

  /// Whether the answer must be right, not merely no wrong one: nothing happens but to hand-offs, and time is plenty.
  var isGentle: Bool { directory == .sound && !changesWeights }
}
