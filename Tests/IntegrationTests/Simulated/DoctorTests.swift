import ClusterHarness
import Foundation
import ServingTypes
import Testing

/// `baton doctor` at two workers under the same load, one of them with too few blocks for it.
@Suite(.serialized, .enabled(if: TestFiles.baton != nil, "needs the baton binary"))
struct DoctorTests {
  private struct Report: Decodable {
    struct Process: Decodable {
      var url: String
      var findings: [Finding]
    }

    struct Finding: Decodable {
      var finding: String
      var evidence: [String: Double]
      var parameters: [String]
      var advice: String
    }

    var processes: [Process]
  }

  @Test func aPitfallIsFoundWhereItIsAndNowhereElse() async throws {
    // Four sequences of 17 blocks each: together they need 68.
    try await PacedModel(step: .milliseconds(10)).withFile { model in
      try await LocalProcesses.run { processes in
        func worker(_ name: String, blocks: Int) async throws -> LocalProcess {
          let worker = processes.add(
            name, role: .decode, executable: TestFiles.baton ?? "",
            arguments: [
              "decode", "--simulate", model, "--listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0",
              "--self-test-interval", "0s", "--no-enable-spec-decode", "--num-blocks", "\(blocks)",
            ])
          try worker.start()
          try await worker.waitUntilReady()
          return worker
        }
        let (ill, well) = (try await worker("ill", blocks: 24), try await worker("well", blocks: 256))
        let isOver = Lock(false)
        try await withThrowingTaskGroup(of: Void.self) { group in
          for worker in [ill, well] {
            for seed in 0..<4 { group.addTask { try await Self.load(worker, seed: UInt32(seed), until: isOver) } }
          }
          group.addTask {
            defer { isOver.withLock { $0 = true } }
            try await Self.expectFindings(ill: ill, well: well)
          }
          try await group.waitForAll()
        }
      }
    }
  }

  /// A pause of the machine may look like a jitter once, and two seconds may be short of preemptions; neither stays so.
  private static func expectFindings(ill: LocalProcess, well: LocalProcess) async throws {
    let commands = CommandLineTests()
    func doctor(_ workers: LocalProcess..., options: [String]) async throws -> CommandLineTests.Outcome {
      try await commands.run(
        ["doctor", "--interval", "1500ms"] + options + workers.flatMap { ["--url", "http://\($0.http)"] })
    }
    try await waitUntil("the doctor finds preemptions at one worker and none at the other") {
      let outcome = try await doctor(ill, well, options: ["--json"])
      #expect((0...1).contains(outcome.code) && outcome.errors.isEmpty, "\(outcome)")
      let report = try JSONDecoder().decode(Report.self, from: Data(outcome.output.utf8))
      #expect(report.processes.map(\.url) == ["http://\(ill.http)", "http://\(well.http)"])
      #expect((outcome.code == 1) == report.processes.contains { !$0.findings.isEmpty })
      let found = report.processes[0].findings.first { $0.finding == "preemptions" }
      guard let found, !report.processes[1].findings.contains(where: { $0.finding == "preemptions" }) else {
        return false
      }
      #expect(found.evidence["preemptions"] ?? 0 >= 2 && found.evidence["requests"] != nil)
      // The other worker has the same load and differs in one of them.
      #expect(found.parameters.contains("num_blocks") && found.advice.contains("num_blocks"))
      return true
    }
    try await waitUntil("the doctor finds nothing at the healthy worker") {
      let outcome = try await doctor(well, options: [])
      return outcome.code == 0 && outcome.output == "http://\(well.http): nothing found\n"
    }
    try await waitUntil("the doctor names finding and parameters in words") {
      let outcome = try await doctor(ill, options: [])
      return outcome.code == 1 && outcome.output.contains("http://\(ill.http): preemptions: ")
        && outcome.output.contains("lower max_num_seqs, or raise num_blocks or memory_budget")
    }
  }

  private static func load(_ worker: LocalProcess, seed: UInt32, until isOver: Lock<Bool>) async throws {
    try await RouterClient.with(worker.grpc) { client in
      var round: UInt32 = 0
      while !isOver.withLock({ $0 }) {
        let prompt = TokenPrompts.greedy(60, seed: seed + 4 * round)
        let answer = try await client.decode(
          .with {
            $0.promptTokens = prompt.tokens.ids
            $0.sampling.maxTokens = 200
            $0.sampling.temperature = 0
          })
        #expect(answer.tokens.count == 200)
        round += 1
      }
    }
  }
}
