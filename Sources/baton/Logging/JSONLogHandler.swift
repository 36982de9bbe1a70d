import Foundation
import Logging
import Observability

/// Writes log records to standard error, one line of JSON each.
struct JSONLogHandler: LogHandler {
  let label: String
  var logLevel: Logger.Level
  var metadata: Logger.Metadata = [:]
  var metadataProvider: Logger.MetadataProvider?

  init(label: String, logLevel: Logger.Level, metadataProvider: Logger.MetadataProvider? = nil) {
    self.label = label
    self.logLevel = logLevel
    self.metadataProvider = metadataProvider
  }

  subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  func log(event: LogEvent) {
    var merged = metadata
    if let provided = metadataProvider?.get() { merged.merge(provided) { _, new in new } }
    if let own = event.metadata { merged.merge(own) { _, new in new } }
    if let error = event.error { merged["error"] = .string("\(error)") }
    let line = LogRecordFormatter.line(
      time: .seconds(Date().timeIntervalSince1970), level: event.level.rawValue, label: label,
      message: event.message.description, metadata: merged.mapValues(LogValue.init))
    // One write per record, so that lines of several threads never mix.
    line.withUnsafeBytes { bytes in
      var rest = bytes[...]
      while !rest.isEmpty {
        let written = write(STDERR_FILENO, rest.base.baseAddress.map { $0 + rest.startIndex }, rest.count)
        guard written > 0 || errno == EINTR else { return }
        if written > 0 { rest = rest.dropFirst(written) }
      }
    }
  }
}

extension LogValue {
  init(_ value: Logger.MetadataValue) {
    switch value {
    case .string(let text): self = .string(text)
    case .stringConvertible(let value):
      if let integer = value as? Int {
        self = .integer(integer)
      } else if let number = value as? Double {
        self = .number(number)
      } else if let truth = value as? Bool {
        self = .boolean(truth)
      } else {
        self = .string(value.description)
      }
    case .array(let values): self = .array(values.map(LogValue.init))
    case .dictionary(let fields): self = .object(fields.mapValues(LogValue.init))
    }
  }
}
