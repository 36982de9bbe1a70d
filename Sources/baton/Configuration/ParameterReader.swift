import ServingTypes

/// Reads parameters by name from flags, environment and file, in that order of precedence, and remembers what it read.
///
/// A value that does not fit is noted, not thrown, so that one start reports every mistake; `finish` throws them. A
/// parameter `block_size` is the flag `--block-size`, the variable `BATON_BLOCK_SIZE` and the key `block_size`.
struct ParameterReader {
  enum Source: String {
    case flag
    case environment
    case file
    case builtIn = "default"
  }

  /// One parameter as it was read.
  struct Reading {
    var key: String
    /// As the parameter would be written in a file; secrets hidden.
    var text: String
    var source: Source
  }

  /// In the order of reading.
  private(set) var readings: [Reading] = []
  private(set) var problems: [String] = []
  /// Every name that was asked for, aliases included.
  private(set) var keys: Set<String> = []

  /// Values that stand above all sources.
  private var overrides: [String: String] = [:]
  private let environment: [String: String]
  private let file: ConfigurationFile

  /// - Parameter environment: variables without the prefix `BATON_`, in lower case.
  init(environment: [String: String] = [:], file: ConfigurationFile = ConfigurationFile()) {
    self.environment = environment
    self.file = file
  }

  /// A reader of the same sources that has read nothing yet, with another value for one parameter.
  func overriding(_ key: String, with text: String) -> ParameterReader {
    var reader = ParameterReader(environment: environment, file: file)
    reader.overrides[key] = text
    return reader
  }

  /// The raw text of a parameter and where it stands, or nil when no source names it.
  private mutating func find(_ key: String, flag: String?, aliases: [String]) -> (
    text: String, source: Source, name: String
  )? {
    keys.insert(key)
    keys.formUnion(aliases)
    for name in [key] + aliases {
      if let text = overrides[name] { return (text, .flag, name) }
    }
    if let flag { return (flag, .flag, Self.flagName(key)) }
    let variables = ([key] + aliases).compactMap { name in
      environment[name].map { (text: $0, source: Source.environment, name: Self.variableName(name)) }
    }
    let entries = ([key] + aliases).compactMap { name in
      file.entries[name].map { (text: $0.text, source: Source.file, name: "\(name) (\(file.path), line \($0.line))") }
    }
    let found = variables.isEmpty ? entries : variables
    // One source that says two things under two names has no last word, unlike flags.
    if let first = found.first, let other = found.first(where: { $0.text != first.text }) {
      problems.append("\(first.name) is '\(first.text)', and \(other.name) is '\(other.text)': leave one out")
    }
    return found.first
  }

  /// The parameter's value, or nil when nothing names it.
  ///
  /// - Parameters:
  ///   - expected: what a value must be, for the message: "a whole number from 8 to 64".
  ///   - parse: nil when the text does not fit.
  mutating func optional<Value>(
    _ key: String, flag: String?, aliases: [String] = [], secret: Bool = false, expected: String,
    parse: (String) -> Value?
  ) -> Value? {
    guard let found = find(key, flag: flag, aliases: aliases) else {
      readings.append(Reading(key: key, text: "", source: .builtIn))
      return nil
    }
    readings.append(Reading(key: key, text: secret ? Self.hidden : found.text, source: found.source))
    if let value = parse(found.text) { return value }
    problems.append("\(found.name) is \(secret ? "malformed" : "'\(found.text)'"); it must be \(expected)")
    return nil
  }

  /// Writes the default's text over the empty reading that `optional` left.
  mutating func noteDefault(_ text: String) {
    guard let last = readings.indices.last, readings[last].source == .builtIn else { return }
    readings[last].text = text
  }

  /// Replaces the text of the last reading, when it holds something that must not be logged.
  mutating func mask(_ text: String) {
    guard let last = readings.indices.last else { return }
    readings[last].text = text
  }

  mutating func note(problem: String) { problems.append(problem) }

  /// Throws everything that was wrong, unknown names included, in one line.
  ///
  /// - Parameter known: the names that any role reads: a file may be shared by several roles.
  func finish(known: Set<String>) throws(ServingError) {
    var all = problems
    for (key, entry) in file.entries.sorted(by: { $0.value.line < $1.value.line }) where !known.contains(key) {
      all.append("unknown key '\(key)' (\(file.path), line \(entry.line))" + Self.suggestion(key, known))
    }
    for name in environment.keys.sorted() where !known.contains(name) && !Self.isForeign(name) {
      let near = nearestName(to: name, in: known)
      all.append(
        "unknown variable \(Self.variableName(name))" + (near.map { "; did you mean \(Self.variableName($0))?" } ?? ""))
    }
    if !all.isEmpty { throw ServingError(.invalidArgument, all.joined(separator: "; ")) }
  }

  static func flagName(_ key: String) -> String { "--" + key.replacing("_", with: "-") }
  static func variableName(_ key: String) -> String { "BATON_" + key.uppercased() }

  static let hidden = "***"

  /// Whether a variable with the prefix belongs to the scripts and tests around the binary, or is one of those that
  /// Kubernetes and Docker links set in each container for each service named `baton` or `baton-…`.
  private static func isForeign(_ name: String) -> Bool {
    if ["models", "cache", "package", "demo_prompt"].contains(name) || name.hasPrefix("test_") { return true }
    return name.contains(
      /(^|_)(service_host|service_port(_[a-z0-9_]+)?|port(_[0-9]+_(tcp|udp|sctp)(_(addr|port|proto))?)?)$/)
  }

  private static func suggestion(_ name: String, _ known: Set<String>) -> String {
    nearestName(to: name, in: known).map { "; did you mean '\($0)'?" } ?? ""
  }
}
