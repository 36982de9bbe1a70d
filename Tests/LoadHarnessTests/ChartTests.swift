import Foundation
import LoadHarness
import Testing

#if canImport(FoundationXML)
  import FoundationXML
#endif

@Suite struct ChartTests {
  private let hostile = "a < b & \"c\" > 'd' \u{1} \u{0} é 字"

  /// What an XML parser finds in the document.
  private func texts(in document: String) throws -> [String] {
    let reader = TextReader()
    let parser = XMLParser(data: Data(document.utf8))
    parser.delegate = reader
    #expect(parser.parse(), "\(String(describing: parser.parserError))")
    #expect(reader.root == "svg")
    return reader.texts
  }

  @Test func barsAreWellFormedWhateverTheyHold() throws {
    let chart = BarChart(
      title: hostile, subtitle: "", rows: [hostile, "b", "c"],
      panels: [
        BarChart.Panel(title: "p", unit: hostile, values: [1, nil, .nan]),
        BarChart.Panel(title: "q", unit: "", values: [0, 0, 0]),
        BarChart.Panel(title: "r", unit: "", values: [-1, .infinity, 1e300]),
      ])
    let texts = try texts(in: chart.svg)
    #expect(texts.contains { $0.contains("a < b & \"c\" > 'd'") })
    #expect(texts.contains("b"))
    #expect(try self.texts(in: BarChart(title: "", subtitle: "", rows: [], panels: []).svg).isEmpty)
  }

  @Test func linesAreWellFormedWhateverTheyHold() throws {
    let chart = LineChart(
      title: "t", subtitle: hostile, axis: "block_size", ticks: ["8", "16"],
      panels: [
        LineChart.Panel(title: "a", unit: "ms", curves: [LineChart.Curve(name: "", values: [3, 27])]),
        LineChart.Panel(
          title: "b", unit: "",
          curves: [
            LineChart.Curve(name: "p50", values: [.nan, 0]), LineChart.Curve(name: "p99", values: [1, 2, 3]),
          ]),
        LineChart.Panel(title: "c", unit: "", curves: []),
      ])
    let texts = try texts(in: chart.svg)
    // Ticks, values, and a scale that ends at a round number.
    for text in ["8", "16", "block_size", "27", "30", "p99"] { #expect(texts.contains(text), "no \(text)") }
    #expect(!chart.svg.contains("nan") && !chart.svg.contains("inf"))
    _ = try self.texts(in: LineChart(title: "", subtitle: "", axis: "", ticks: [], panels: []).svg)
  }

  @Test func figuresAreShort() {
    let cases: [(Double?, String)] = [
      (nil, "–"), (.nan, "–"), (1234.5, "1235"), (123.45, "123.5"), (12.345, "12.3"), (1.2345, "1.23"),
      (0.012345, "0.0123"), (0, "0"), (-1.5, "-1.50"), (7, "7"),
    ]
    for (value, text) in cases { #expect(FigureText.of(value) == text) }
    #expect(FigureText.decimal(-0.05, places: 1) == "-0.1")
    #expect(FigureText.decimal(3.999, places: 2) == "4.00")
  }
}

private final class TextReader: NSObject, XMLParserDelegate {
  var texts: [String] = []
  var root: String?
  private var current = ""

  func parser(
    _ parser: XMLParser, didStartElement name: String, namespaceURI: String?, qualifiedName: String?,
    attributes: [String: String]
  ) {
    if root == nil { root = name }
    current = ""
  }

  func parser(_ parser: XMLParser, foundCharacters string: String) { current += string }

  func parser(_ parser: XMLParser, didEndElement name: String, namespaceURI: String?, qualifiedName: String?) {
    if name == "text", !current.isEmpty { texts.append(current) }
    current = ""
  }
}
