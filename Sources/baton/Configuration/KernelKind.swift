/// Which arithmetic the model runs with.
enum KernelKind: String, CaseIterable, Sendable {
  /// Activations quantised per block of 32.
  case fast
  /// Float32 activations, to measure accuracy by.
  case reference
}
