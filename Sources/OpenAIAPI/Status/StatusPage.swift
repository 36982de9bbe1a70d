import ServingTypes

/// The router's page for people: one HTML document without scripts or outside resources.
struct StatusPage {
  var report: StatusReport
  var models: [String]
  var readiness: Readiness
  var inFlight: Int
  var requestsPerSecond: Double
  var tokensPerSecond: Double
  /// Seconds since the server began.
  var uptime: Int64

  var html: String {
    let state =
      switch readiness {
      case .ready: "<b class=ok>ready</b>"
      case .notReady(let reason): "<b class=bad>not ready</b>: \(Self.escape(reason))"
      }
    var rows = ""
    for worker in report.workers.sorted(by: { ($0.role.rawValue, $0.id) < ($1.role.rawValue, $1.id) }) {
      rows += Self.row(worker)
    }
    if rows.isEmpty { rows = "<tr><td colspan=9>no workers</td></tr>" }
    return """
      <!doctype html><html lang=en><meta charset=utf-8><meta http-equiv=refresh content=5><title>baton</title>
      <style>
      :root{color-scheme:light dark}body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:70rem;padding:0 1rem}
      table{border-collapse:collapse;width:100%}td,th{padding:.3rem .6rem;text-align:left;border-bottom:1px solid #8884}
      td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}.ok{color:#2a2}.bad{color:#d33}meter{width:6rem}
      dl{display:grid;grid-template-columns:max-content auto;gap:.2rem 1.5rem}dd{margin:0}
      </style>
      <h1>baton</h1>
      <dl><dt>state</dt><dd>\(state)</dd>
      <dt>models</dt><dd>\(Self.escape(models.joined(separator: ", ")))</dd>
      <dt>directory</dt><dd>\(Self.escape(report.directory))</dd>
      <dt>requests in flight</dt><dd>\(inFlight)</dd>
      <dt>requests per second</dt><dd>\(Self.round(requestsPerSecond)) over the last minute</dd>
      <dt>tokens per second</dt><dd>\(Self.round(tokensPerSecond)) over the last minute</dd>
      <dt>up for</dt><dd>\(uptime) s</dd></dl>
      <h2>workers</h2>
      <table><tr><th>worker<th>role<th>state<th>address<th>model<th class=n>running<th class=n>waiting<th class=n>routed
      <th>blocks in use</tr>\(rows)</table>
      <p><a href=/metrics>metrics</a> · <a href=/v1/models>models</a></p></html>

      """
  }

  private static func row(_ worker: StatusReport.Worker) -> String {
    let isLive = worker.state == "live"
    let cells = [
      escape(worker.id.value), worker.role.rawValue,
      "<span class=\(isLive ? "ok" : "bad")>\(escape(worker.state))</span>", escape(worker.address),
      escape(worker.model),
    ]
    let numbers = [worker.runningSequences, worker.waitingSequences, worker.inFlight]
    let total = max(1, worker.totalBlocks)
    return "<tr>" + cells.map { "<td>\($0)</td>" }.joined() + numbers.map { "<td class=n>\($0)</td>" }.joined()
      + "<td><meter max=\(total) value=\(worker.usedBlocks)></meter> \(worker.usedBlocks)/\(worker.totalBlocks)</td></tr>\n"
  }

  private static func round(_ value: Double) -> String { String((value * 10).rounded() / 10) }

  static func escape(_ text: String) -> String {
    var result = ""
    for character in text.unicodeScalars {
      switch character {
      case "&": result += "&amp;"
      case "<": result += "&lt;"
      case ">": result += "&gt;"
      case "\"": result += "&quot;"
      case "'": result += "&#39;"
      default: result.unicodeScalars.append(character)
      }
    }
    return result
  }
}
