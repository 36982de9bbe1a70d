import Foundation
import Testing

/// The code's own hygiene, tested like any other property.
@Suite struct TidyTests {
  private static func findings(
    in files: [SourceTree.File], _ isBad: (Substring, SourceTree.File) -> Bool
  ) -> [String] {
    files.flatMap { file in
      file.lines.enumerated().filter { isBad($0.element, file) }.map { "\(file.path):\($0.offset + 1)" }
    }
  }

  @Test func filesAreFound() {
    #expect(SourceTree.sources.contains { $0.path == "Sources/ServingTypes/KVLayout.swift" })
    #expect(SourceTree.code.contains { $0.path == "Tests/TidyTests/TidyTests.swift" })
  }

  @Test func filesStayShort() {
    let code = SourceTree.code.filter { $0.isSwift || $0.path.hasSuffix(".c") || $0.path.hasSuffix(".h") }
    let long = code.filter { $0.lines.count > 801 }
    #expect(long.isEmpty, "over 800 lines: \(long)")
  }

  @Test func nothingCrashesOnPurpose() {
    // Written in pieces, so that this file does not find itself.
    let banned = ["try" + "!", "fatal" + "Error(", " as" + "! ", "TO" + "DO", "FIX" + "ME"]
    let found = Self.findings(in: SourceTree.code.filter(\.isSwift)) { line, _ in
      banned.contains { line.contains($0) }
    }
    #expect(found.isEmpty)
  }

  @Test func eachUncheckedClaimSaysWhy() {
    let claims = ["@unchecked Sendable", "nonisolated(unsafe)"]
    let swift = SourceTree.code.filter { $0.isSwift && !$0.path.hasPrefix("Tests/TidyTests/") }
    let found = Self.findings(in: swift) { line, _ in
      claims.contains { line.contains($0) } && !line.contains("// safe: ")
    }
    #expect(found.isEmpty)
  }

  @Test func namesSaySomething() {
    let declaration = /\b(?:class|struct|enum|actor|protocol)\s+\w*(?:Manager|Helpers?|Utils?|Misc)\b/
    let found = Self.findings(in: SourceTree.code.filter(\.isSwift)) { line, _ in line.contains(declaration) }
    #expect(found.isEmpty)
    let file = /(?:Manager|Helpers?|Utils?|Misc|Common)\.swift$/
    #expect(SourceTree.code.filter { $0.path.contains(file) }.isEmpty)
  }

  /// The order of docs/design.md: a target imports those above it, never one below.
  @Test func importsGoUpwards() {
    let order = [
      "CKernels", "CRoofline", "CHiredis", "CgRPC", "COpenSSL", "ServingTypes", "Observability", "Tokenization",
      "ModelRuntime", "ModelSimulation", "KernelBenchmark", "KVCache", "Scheduling", "SpeculativeDecoding", "Engine",
      "LoadHarness",
      "ServingProtos", "GRPCTransport", "RPC", "KVTransfer", "Directory", "Routing", "OpenAIAPI", "PrefillServer",
      "DecodeServer", "RouterServer", "ClusterHarness", "baton", "ServingTestKit",
    ]
    let rank = Dictionary(uniqueKeysWithValues: order.enumerated().map { ($0.element, $0.offset) })
    let statement =
      /^\s*(?:(?:public|package|internal|private|@_exported) )*import (?:(?:struct|class|enum|func|protocol) )?(\w+)/
    for file in SourceTree.sources where file.isSwift {
      guard let own = rank[file.target] else {
        Issue.record("\(file.path): target \(file.target) has no place in the order")
        continue
      }
      for line in file.lines {
        guard let match = line.firstMatch(of: statement), let other = rank[String(match.1)] else { continue }
        #expect(other < own, "\(file.path) imports \(match.1), which stands below \(file.target)")
      }
    }
  }

  /// Only shells may do I/O, and the core builds without them.
  @Test func theCoreStaysPure() {
    let core: Set = [
      "ServingTypes", "Observability", "Tokenization", "KVCache", "Scheduling", "SpeculativeDecoding", "Engine",
      "LoadHarness",
    ]
    let shells = /^import (?:GRPC\w*|NIO\w*|Hummingbird\w*|Logging|SwiftProtobuf|CgRPC|CHiredis)\b/
    let found = Self.findings(in: SourceTree.sources.filter { core.contains($0.target) && $0.isSwift }) { line, _ in
      line.contains(shells)
    }
    #expect(found.isEmpty)
  }

  /// A second type at the top level belongs in a file of its own, unless it is private to the first or all are small.
  @Test func oneTypePerFile() {
    let declaration =
      /^(?:public |package |internal |final |indirect |nonisolated |@\w+(?:\([^)]*\))? )*(?:class|struct|enum|actor|protocol) (\w+)/
    for file in SourceTree.sources where file.isSwift && !file.isGenerated && file.lines.count > 200 {
      let types = file.lines.compactMap { $0.firstMatch(of: declaration)?.1 }
      #expect(types.count <= 1, "\(file.path) declares \(types.joined(separator: ", "))")
    }
  }

  @Test func testsUseSwiftTestingWithoutTestableImports() {
    let banned = ["@test" + "able", "import XC" + "Test"]
    let found = Self.findings(in: SourceTree.code.filter(\.isSwift)) { line, _ in
      banned.contains { line.contains($0) }
    }
    #expect(found.isEmpty)
  }

  @Test func noPathsOfOneMachine() {
    let folders = ["Sources", "Tests", "scripts", "deploy", "docs", "Protos"]
    let path = /(?:^|[\s"'=(`])\/(?:work|farm|root|Users)\//
    let files = SourceTree.files(in: folders).filter { !$0.path.hasPrefix("Tests/Golden/") }
    let found = Self.findings(in: files) { line, _ in line.contains(path) }
    #expect(found.isEmpty)
  }

  @Test func noLargeFiles() throws {
    for file in SourceTree.files(in: ["Sources", "Tests", "docs", "deploy", "Protos", "scripts"]) {
      let path = SourceTree.root.appending(path: file.path).path
      let size = try FileManager.default.attributesOfItem(atPath: path)[.size] as? Int
      #expect((size ?? 0) <= 1_000_000, "\(file.path) is large")
    }
  }
}
