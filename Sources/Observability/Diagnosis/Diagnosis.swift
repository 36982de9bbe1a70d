/// A pitfall that a process is in, with the numbers that say so.
public struct Diagnosis: Sendable {
  public struct Evidence: Hashable, Sendable {
    public var name: String
    public var value: Double

    init(_ name: String, _ value: Double) {
      self.name = name
      self.value = value
    }
  }

  public var pitfall: Pitfall
  public var evidence: [Evidence]

  /// What the window shows, in the order of `Pitfall`. A rule whose metrics the process does not export is silent.
  public static func findings(in window: MetricsWindow) -> [Diagnosis] {
    Pitfall.allCases.compactMap { pitfall in
      pitfall.evidence(in: window).map { Diagnosis(pitfall: pitfall, evidence: $0) }
    }
  }
}
