import Foundation

/// The memory that this process may take.
enum MachineMemory {
  /// Bytes: the smaller of the cgroup's limit and what the system has available now.
  static func available() -> Int { min(free(), limit() ?? .max) }

  /// Bytes that the system has available now, without what is in use, by this process too.
  static func free() -> Int {
    read("/proc/meminfo").flatMap(memAvailable) ?? Int(clamping: ProcessInfo.processInfo.physicalMemory)
  }

  /// Bytes that the cgroup may use, with what it uses already; nil where it has no limit.
  static func limit() -> Int? {
    ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"].compactMap(number).min()
  }

  /// The line `MemAvailable: 123 kB`, in bytes.
  private static func memAvailable(_ text: String) -> Int? {
    for line in text.split(separator: "\n") where line.hasPrefix("MemAvailable:") {
      return line.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap { Int($0) }.map { $0 * 1024 }
    }
    return nil
  }

  /// The file's number, nil where there is none or no limit (`max`).
  private static func number(_ path: String) -> Int? {
    read(path).flatMap { Int($0.filter { !$0.isWhitespace }) }
  }

  private static func read(_ path: String) -> String? { try? String(contentsOfFile: path, encoding: .utf8) }
}
