import Foundation
import ServingTypes
import Yams

/// A YAML file of parameters: one mapping from names to scalars or to lists of scalars.
struct ConfigurationFile {
  struct Entry {
    /// A list's items are joined with commas.
    var text: String
    var line: Int
  }

  var path = ""
  var entries: [String: Entry] = [:]

  init() {}

  init(path: String) throws(ServingError) {
    let text: String
    do {
      text = try String(contentsOfFile: path, encoding: .utf8)
    } catch {
      throw ServingError(.notFound, "can't read the configuration file \(path): \(Self.reason(error))")
    }
    try self.init(path: path, text: text)
  }

  init(path: String, text: String) throws(ServingError) {
    self.path = path
    let root: Node?
    do {
      root = try Yams.compose(yaml: text)
    } catch {
      let reason = "\(error)".split(whereSeparator: \.isNewline).joined(separator: " ")
      throw ServingError(.invalidArgument, "\(path) is not YAML: \(reason)")
    }
    guard let root, root != Node("") else { return }
    guard let mapping = root.mapping else {
      throw ServingError(.invalidArgument, "\(path) must be one mapping of names to values")
    }
    for (key, value) in mapping {
      let line = key.mark?.line ?? 0
      guard let name = key.scalar?.string else {
        throw ServingError(.invalidArgument, "\(path), line \(line): a name must be a plain word")
      }
      entries[name] = Entry(text: try Self.text(of: value, name: name, path: path, line: line), line: line)
    }
  }

  private static func text(of value: Node, name: String, path: String, line: Int) throws(ServingError) -> String {
    if let scalar = value.scalar { return scalar.string }
    guard let sequence = value.sequence else {
      throw ServingError(.invalidArgument, "\(path), line \(line): \(name) must be a value or a list of values")
    }
    var items: [String] = []
    for item in sequence {
      guard let scalar = item.scalar else {
        throw ServingError(.invalidArgument, "\(path), line \(line): \(name) must hold plain values")
      }
      items.append(scalar.string)
    }
    return items.joined(separator: ",")
  }

  private static func reason(_ error: any Error) -> String {
    let code = (error as NSError).code
    if code == CocoaError.fileReadNoSuchFile.rawValue { return "there is no such file" }
    if code == CocoaError.fileReadNoPermission.rawValue { return "permission denied" }
    return error.localizedDescription
  }
}
