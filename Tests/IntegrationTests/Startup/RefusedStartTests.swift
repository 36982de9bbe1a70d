import Foundation
import Testing

// Workers that must not start.
extension CommandLineTests {
  private func startedDecode(_ arguments: [String]) async throws -> Outcome {
    let own = ["--listen", "127.0.0.1:0", "--http-listen", "none", "--num-blocks", "32"]
    return try await run(["decode"] + TestFiles.modelArguments + own + arguments)
  }

  @Test(.enabled(if: TestFiles.model != nil && TestFiles.otherModel != nil, "needs SmolLM2 and Gemma 3"))
  func aDraftModelOfAnotherVocabularyIsRefused() async throws {
    let draft = TestFiles.otherModel ?? ""
    let outcome = try await startedDecode(["--draft-model", draft])
    #expect(outcome.code == 1)
    let last = String(outcome.errors.split(separator: "\n").last ?? "")
    #expect(last.hasPrefix("baton: error: \(draft) cannot draft for \(TestFiles.model ?? "")"), "\(last)")
    #expect(last.contains("vocabularies differ: 262144 tokens and 49152"), "\(last)")
    #expect(!outcome.errors.contains("\"model loaded\""))
  }

  @Test(.enabled(if: TestFiles.model != nil, "needs SmolLM2"))
  func aDraftModelThatIsNotThereIsNamed() async throws {
    let outcome = try await startedDecode(["--draft-model", "/no/such/draft.gguf"])
    #expect(outcome.code == 66 && outcome.errors.contains("/no/such/draft.gguf"), "\(outcome.errors)")
  }

  @Test(.enabled(if: TestFiles.model != nil, "needs SmolLM2"))
  func aFolderThatIsNotThereTakesNoBlocks() async throws {
    let outcome = try await startedDecode(["--offload-dir", "/no/such/folder"])
    #expect(outcome.code == 1)
    let last = String(outcome.errors.split(separator: "\n").last ?? "")
    #expect(last.hasPrefix("baton: error: offload_dir /no/such/folder: no file can be created there"), "\(last)")
  }
}
