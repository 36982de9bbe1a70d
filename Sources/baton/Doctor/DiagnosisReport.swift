import Foundation
import Observability

/// The findings of one process, as they are shown.
struct DiagnosisReport: Encodable {
  struct Finding: Encodable {
    var finding: String
    var summary: String
    var evidence: [String: Double]
    var parameters: [String]
    var advice: String
  }

  var url: String
  var findings: [Finding]

  init(url: String, window: MetricsWindow) {
    self.url = url
    findings = Diagnosis.findings(in: window).map { diagnosis in
      let pitfall = diagnosis.pitfall
      return Finding(
        finding: pitfall.rawValue, summary: pitfall.summary,
        evidence: Dictionary(diagnosis.evidence.map { ($0.name, $0.value) }, uniquingKeysWith: { $1 }),
        parameters: pitfall.parameters, advice: pitfall.advice)
    }
  }

  var text: String {
    if findings.isEmpty { return "\(url): nothing found\n" }
    return findings.map { finding in
      let numbers = finding.evidence.sorted { $0.key < $1.key }.map { "\($0.key) \(Self.number($0.value))" }
      return """
        \(url): \(finding.finding): \(finding.summary)
          \(numbers.joined(separator: ", "))
          \(finding.advice)

        """
    }.joined()
  }

  private static func number(_ value: Double) -> String {
    value == value.rounded() && abs(value) < 1e15 ? String(Int64(value)) : String(format: "%.4g", value)
  }
}
