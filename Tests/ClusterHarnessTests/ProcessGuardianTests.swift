import ClusterHarness
import Foundation
import Testing

/// What ends the processes of a benchmark or a test that was killed itself.
@Suite(.timeLimit(.minutes(1))) struct ProcessGuardianTests {
  private func sleeper() throws -> Process {
    let process = Process()
    process.executableURL = URL(filePath: "/bin/sleep")
    process.arguments = ["600"]
    try process.run()
    return process
  }

  /// What the kernel says: Foundation hears of an end only when all the children that were started later have ended too.
  private func isAlive(_ process: Process) -> Bool {
    let stat = try? String(contentsOfFile: "/proc/\(process.processIdentifier)/stat", encoding: .utf8)
    return stat.map { !$0.contains(") Z ") } ?? false
  }

  @Test(arguments: [false, true]) func whatIsWatchedEndsWithItsOwner(byDeinit: Bool) async throws {
    let (first, forgotten, last) = (try sleeper(), try sleeper(), try sleeper())
    // Whoever is left holds the test runner's output open.
    defer {
      for process in [first, forgotten, last] where isAlive(process) { kill(process.processIdentifier, SIGKILL) }
    }
    var guardian: ProcessGuardian? = try ProcessGuardian()
    for process in [first, forgotten, last] { guardian?.watch(process.processIdentifier) }
    guardian?.forget(forgotten.processIdentifier)
    if !byDeinit { guardian?.end() }
    guardian = nil
    while isAlive(first) || isAlive(last) { try await Task.sleep(for: .milliseconds(10)) }
    #expect(isAlive(forgotten))
  }
}
