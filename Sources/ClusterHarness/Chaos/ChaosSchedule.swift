import ServingTypes

/// The faults of a run, in order: the same for the same configuration and processes.
///
/// Of each group of processes that can stand in for one another, one at most is away at a time: a schedule that takes all
/// decode workers at once would show nothing but that nobody can serve then.
public struct ChaosSchedule: Codable, Hashable, Sendable {
  /// Processes that do the same work.
  public struct Group: Sendable {
    public enum Kind: Sendable {
      case workers
      case routers
      case redis
    }

    public var kind: Kind
    public var names: [String]

    public init(_ kind: Kind, _ names: [String]) {
      self.kind = kind
      self.names = names
    }
  }

  public var events: [ChaosEvent]

  public init(_ configuration: ChaosConfiguration, groups: [Group]) {
    var random = SplitMix64(seed: configuration.seed)
    /// When each process is whole again, and each group complete.
    var wholeAt: [String: Double] = [:]
    var completeAt = groups.map { _ in 0.0 }
    var events: [ChaosEvent] = []
    var now = Self.draw(configuration.interval, &random)
    while now < configuration.duration {
      defer { now += Self.draw(configuration.interval, &random) }
      let choices = groups.indices.flatMap { index in
        let free = groups[index].names.filter { wholeAt[$0, default: 0] <= now }
        return configuration.weights(groups[index].kind)
          .filter { !free.isEmpty && (!$0.fault.takesAway || completeAt[index] <= now) }
          .map { (group: index, free: free, fault: $0.fault, weight: $0.weight * Double(groups[index].names.count)) }
      }
      guard let choice = Self.pick(choices, weight: \.weight, &random) else { continue }
      let target = choice.free[Int(random.next() % UInt64(choice.free.count))]
      let length: Double =
        switch choice.fault {
        case .kill: Self.draw(configuration.absence, &random)
        case .freeze, .slow, .stall, .halfOpen: Self.draw(configuration.disturbance, &random)
        case .terminate: configuration.drain
        case .cut, .reset, .flush: 0
        }
      let delay = choice.fault == .slow ? Self.draw(configuration.delay, &random) : 0
      events.append(
        ChaosEvent(at: now, until: now + length, fault: choice.fault, target: target, delay: delay))
      wholeAt[target] = now + length
      if choice.fault.takesAway {
        let isWhole = now + length + configuration.recovery
        wholeAt[target] = isWhole
        completeAt[choice.group] = isWhole
      }
    }
    self.events = events
  }

  private static func draw(_ range: ClosedRange<Double>, _ random: inout SplitMix64) -> Double {
    range.lowerBound + (range.upperBound - range.lowerBound) * Double(random.next() >> 11) / Double(1 << 53)
  }

  private static func pick<Choice>(
    _ choices: [Choice], weight: (Choice) -> Double, _ random: inout SplitMix64
  ) -> Choice? {
    var place = draw(0...choices.reduce(0) { $0 + weight($1) }, &random)
    for choice in choices {
      place -= weight(choice)
      if place <= 0 { return choice }
    }
    return choices.last
  }
}

extension ChaosConfiguration {
  /// In a fixed order, which a dictionary has not.
  fileprivate func weights(_ kind: ChaosSchedule.Group.Kind) -> [(fault: ChaosFault, weight: Double)] {
    let weights =
      switch kind {
      case .workers: workerFaults
      case .routers: routerFaults
      case .redis: redisFaults
      }
    return ChaosFault.allCases.compactMap { fault in weights[fault].map { (fault, $0) } }
  }
}
