import Foundation
import ModelSimulation
import ServingTypes

/// The model that a process serves.
struct ModelSettings: Sendable {
  /// Of the GGUF file; empty for a simulated model.
  var path: String
  var servedName: String
  var simulated: SimulatedModel?

  /// - Parameter simulation: nil where only a real model will do.
  init(_ options: ModelOptions, simulation: SimulationOptions? = nil, _ reader: inout ParameterReader) {
    simulated = simulation.flatMap { Self.readSimulation($0, &reader) }
    if let simulated {
      if options.model != nil { reader.note(problem: "model and simulate are both given: leave one out") }
      path = ""
      servedName = reader.string("served_model_name", flag: options.servedModelName, default: simulated.name)
      return
    }
    path = reader.required("model", flag: options.model)
    let file = path.split(separator: "/").last.map(String.init) ?? path
    let stem = file.hasSuffix(".gguf") ? String(file.dropLast(5)) : file
    servedName = reader.string("served_model_name", flag: options.servedModelName, default: stem)
  }

  private static func readSimulation(
    _ options: SimulationOptions, _ reader: inout ParameterReader
  ) -> SimulatedModel? {
    guard let text = reader.string("simulate", flag: options.simulate) else { return nil }
    if let known = SimulatedModel.named.first(where: { $0.name == text }) { return known }
    guard let data = FileManager.default.contents(atPath: text) else {
      let names = SimulatedModel.named.map(\.name).joined(separator: ", ")
      reader.note(problem: "simulate is '\(text)'; it must be \(names) or a file")
      return nil
    }
    do {
      return try SimulatedModel(json: data)
    } catch {
      reader.note(problem: "simulate is '\(text)': \(error.message)")
      return nil
    }
  }
}
