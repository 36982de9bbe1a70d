/// How a failing schedule is run again.
enum Replay {
  static let variable = "BATON_SIMULATION_SEED"

  static func line(_ seed: UInt64) -> String { "replay it with make simulate SEED=\(seed)" }
}
