/// What came of a call so far, by sample.
public struct ChaosAnswer: Hashable, Sendable {
  public struct Sample: Hashable, Sendable {
    public var text = ""
    /// `stop` or `length`; nil while it goes on.
    public var finish: String?
  }

  public var samples: [Sample]

  public init(samples count: Int) { samples = (0..<count).map { _ in Sample() } }

  public var isComplete: Bool { samples.allSatisfy { $0.finish != nil } }
  public var hasText: Bool { samples.contains { !$0.text.isEmpty } }

  /// Whether everything in it is the beginning of that answer.
  public func begins(_ right: ChaosAnswer) -> Bool {
    samples.count == right.samples.count
      && zip(samples, right.samples).allSatisfy { mine, whole in
        if let finish = mine.finish { return finish == whole.finish && mine.text.utf8.elementsEqual(whole.text.utf8) }
        return whole.text.utf8.starts(with: mine.text.utf8)
      }
  }
}
