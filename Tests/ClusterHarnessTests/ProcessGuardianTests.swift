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

  @Test(arguments: [false, true]) func whatIsWatchedEndsWithItsOwner(byDeinit: Bool) async throws {
    let (first, forgotten, last) = (try sleeper(), try sleeper(), try sleeper())
    defer { forgotten.terminate() }
    var guardian: ProcessGuardian? = try ProcessGuardian()
    for process in [first, forgotten, last] { guardian?.watch(process.processIdentifier) }
    guardian?.forget(forgotten.processIdentifier)
    if !byDeinit { guardian?.end() }
    guardian = nil
    while first.isRunning || last.isRunning { try await Task.sleep(for: .milliseconds(10)) }
    #expect(first.terminationReason == .uncaughtSignal && first.terminationStatus == SIGKILL)
    #expect(last.terminationReason == .uncaughtSignal && last.terminationStatus == SIGKILL)
    #expect(forgotten.isRunning)
  }
}
