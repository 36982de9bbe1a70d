import ServingProtos

/// A part of an answer, of a router's or of a decode worker's.
protocol AnswerMessage: Sendable {
  var outputs: [Baton_V1_Output] { get }
  var hasUsage: Bool { get }
  var usage: Baton_V1_Usage { get }
  var hasRoute: Bool { get }
  var route: Baton_V1_Route { get }
  var hasTimeline: Bool { get }
  var timeline: Baton_V1_Timeline { get }
}

extension Baton_V1_GenerateResponse: AnswerMessage {}
extension Baton_V1_DecodeResponse: AnswerMessage {}
