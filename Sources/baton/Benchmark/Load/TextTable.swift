import LoadHarness

/// Columns of text; the first two are words, the rest figures, which end below each other.
struct TextTable {
  private var lines: [[String]]
  private let wordColumns: Int

  init(_ header: [String], wordColumns: Int = 2) {
    lines = [header]
    self.wordColumns = wordColumns
  }

  mutating func add(_ line: [String]) { lines.append(line) }

  var text: String {
    let widths = lines[0].indices.map { column in lines.map { $0[column].count }.max() ?? 0 }
    return lines.map { line in
      let cells = line.enumerated().map { column, cell in
        let space = String(repeating: " ", count: widths[column] - cell.count)
        return column < wordColumns ? cell + space : space + cell
      }
      return cells.joined(separator: "  ")
    }.joined(separator: "\n")
  }

  static func percent(_ share: Double) -> String { FigureText.decimal(share * 100, places: 1) + " %" }
}
