import RPC
import Routing
import ServingProtos
import ServingTypes

extension Baton_V1_GenerateResponse {
  /// - Parameter explain: whether the client asked where its request went.
  init(_ update: GenerationUpdate, head: GenerationHead?, explain: Bool) {
    self.init()
    if let head {
      requestID = head.requestID.value
      model = head.model
      promptTokenIds = wireTokens(head.promptTokens)
    }
    promptLogprobs = update.promptLogprobs.map { Baton_V1_Token($0) }
    outputs = update.outputs.map { Baton_V1_Output($0) }
    if let usage = update.usage { self.usage = Baton_V1_Usage(usage) }
    guard explain else { return }
    if let route = update.route { self.route = Baton_V1_Route(route) }
    if let timeline = update.timeline { self.timeline = Baton_V1_Timeline(timeline) }
  }
}
