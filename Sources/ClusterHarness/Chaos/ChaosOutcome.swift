import ServingTypes

/// How one call of a chaos run ended.
enum ChaosOutcome: Sendable {
  case right
  /// The client broke it off, as it meant to.
  case brokenOff
  /// An error, after text that is the beginning of the right one.
  case failed(ServingError)
  /// Other text than the right one, however it ended.
  case wrong(String)
  /// It did not end by its deadline.
  case hung
}
