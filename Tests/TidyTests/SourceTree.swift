import Foundation

/// The repository's files, as the tests of its hygiene see them.
enum SourceTree {
  struct File: Sendable, CustomStringConvertible {
    /// From the repository's root.
    var path: String
    var lines: [Substring]

    var description: String { path }
    var isGenerated: Bool { path.hasPrefix("Sources/ServingProtos/") }
    var isSwift: Bool { path.hasSuffix(".swift") }
    /// `Engine` for `Sources/Engine/…`.
    var target: String { path.split(separator: "/").dropFirst().first.map(String.init) ?? "" }
  }

  static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent()

  /// Every text file below the folders, sorted by path.
  static func files(in folders: [String]) -> [File] {
    var found: [File] = []
    for folder in folders {
      let start = root.appending(path: folder)
      guard let walk = FileManager.default.enumerator(at: start, includingPropertiesForKeys: [.isRegularFileKey]) else {
        continue
      }
      for case let url as URL in walk {
        guard (try? url.resourceValues(forKeys: [.isRegularFileKey]))?.isRegularFile == true,
          let text = try? String(contentsOf: url, encoding: .utf8)
        else { continue }
        let path = url.standardizedFileURL.path.dropFirst(root.standardizedFileURL.path.count)
        found.append(
          File(
            path: String(path.drop { $0 == "/" }), lines: text.split(separator: "\n", omittingEmptySubsequences: false))
        )
      }
    }
    return found.sorted { $0.path < $1.path }
  }

  static let sources = files(in: ["Sources"])
  static let code = files(in: ["Sources", "Tests"]).filter { !$0.isGenerated }
}
