/// One step of an answer.
public struct GenerationUpdate: Hashable, Sendable {
  public var outputs: [SampleOutput]
  /// On the last update, as are the route and the time line.
  public var usage: GenerationUsage?
  public var route: GenerationRoute?
  public var timeline: GenerationTimeline?

  public init(
    outputs: [SampleOutput] = [], usage: GenerationUsage? = nil, route: GenerationRoute? = nil,
    timeline: GenerationTimeline? = nil
  ) {
    self.outputs = outputs
    self.usage = usage
    self.route = route
    self.timeline = timeline
  }
}
