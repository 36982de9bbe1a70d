import ServingTypes

/// One step of an answer.
public struct GenerationUpdate: Hashable, Sendable {
  /// Where the request asked for them: the prompt's tokens but the first, in order, in updates before the first output.
  public var promptLogprobs: [GeneratedToken]
  public var outputs: [SampleOutput]
  /// On the last update, as are the route and the time line.
  public var usage: GenerationUsage?
  public var route: GenerationRoute?
  public var timeline: GenerationTimeline?

  /// Whether it brings tokens, text or a sample's end.
  var hasContent: Bool { !outputs.isEmpty || !promptLogprobs.isEmpty }

  public init(
    promptLogprobs: [GeneratedToken] = [], outputs: [SampleOutput] = [], usage: GenerationUsage? = nil,
    route: GenerationRoute? = nil, timeline: GenerationTimeline? = nil
  ) {
    self.promptLogprobs = promptLogprobs
    self.outputs = outputs
    self.usage = usage
    self.route = route
    self.timeline = timeline
  }
}
