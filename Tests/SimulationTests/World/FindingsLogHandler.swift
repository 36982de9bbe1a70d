import Logging

/// Keeps the errors of hand-offs.
struct FindingsLogHandler: LogHandler {
  let findings: Findings
  var logLevel = Logger.Level.warning
  var metadata: Logger.Metadata = [:]

  subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  func log(event: LogEvent) {
    guard event.message == "hand-off failed", let error = event.metadata?["error"] else { return }
    findings.handoffFailed("\(error)")
  }
}
