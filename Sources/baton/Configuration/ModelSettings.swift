import ServingTypes

/// The model that a process serves.
struct ModelSettings: Sendable {
  var path: String
  var servedName: String

  init(_ options: ModelOptions, _ reader: inout ParameterReader) {
    path = reader.required("model", flag: options.model)
    let file = path.split(separator: "/").last.map(String.init) ?? path
    let stem = file.hasSuffix(".gguf") ? String(file.dropLast(5)) : file
    servedName = reader.string("served_model_name", flag: options.servedModelName, default: stem)
  }
}
