import Foundation
import ServingTypes

/// Ends what its owner started when the owner ends, however that comes about: a shell that reads the numbers of the
/// processes from a pipe and kills them once nobody holds the pipe's other end any more.
package final class ProcessGuardian: Sendable {
  private static let script = """
    pids=" "
    while read -r sign pid; do
      case $sign in
      +) pids="$pids$pid " ;;
      -) pids=$(printf '%s' "$pids" | sed "s/ $pid / /") ;;
      esac
    done
    for pid in $pids; do kill -9 "$pid" 2> /dev/null; done
    """

  private let pipe: Lock<FileHandle?>

  package init() throws {
    let process = Process()
    let pipe = Pipe()
    process.executableURL = URL(filePath: "/bin/sh")
    process.arguments = ["-c", Self.script]
    process.standardInput = pipe
    process.standardOutput = FileHandle.nullDevice
    process.standardError = FileHandle.nullDevice
    try process.run()
    self.pipe = Lock(pipe.fileHandleForWriting)
  }

  /// From now on the process ends with this one.
  package func watch(_ pid: Int32) { say("+ \(pid)\n") }

  /// The process has ended; its number may be another's soon.
  package func forget(_ pid: Int32) { say("- \(pid)\n") }

  /// Kills what is watched still.
  package func end() {
    pipe.withLock { pipe in
      try? pipe?.close()
      pipe = nil
    }
  }

  private func say(_ line: String) { pipe.withLock { pipe in try? pipe?.write(contentsOf: Data(line.utf8)) } }

  deinit { end() }
}
