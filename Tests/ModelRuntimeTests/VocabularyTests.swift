import ModelRuntime
import ServingTestKit
import ServingTypes
import Testing

@Suite struct VocabularyTests {
  private func file(_ tokens: [String], name: String) throws -> GGUFFile {
    var writer = GGUFWriter()
    writer.set("general.architecture", .string("llama"))
    writer.set("tokenizer.ggml.tokens", .strings(tokens))
    return try GGUFFile(bytes: writer.bytes(), name: name)
  }

  @Test func equalVocabulariesFit() throws {
    let target = try file(["a", "b", "", "ab"], name: "target")
    #expect(throws: Never.self) { try file(["a", "b", "", "ab"], name: "draft").checkVocabulary(isThatOf: target) }
  }

  @Test func theFirstDifferenceIsNamed() throws {
    let target = try file(["a", "b", "c"], name: "target")
    for (tokens, message) in [
      (["a", "x", "y"], "token 1 is 'x' and 'b'"), (["a", "b"], "2 tokens and 3"), (["ab", "", "c"], "token 0"),
    ] as [([String], String)] {
      do throws(ServingError) {
        let draft: GGUFFile
        do { draft = try file(tokens, name: "draft") } catch { throw ServingError(.internalError, "\(error)") }
        try draft.checkVocabulary(isThatOf: target)
        Issue.record("\(tokens) was taken")
      } catch {
        #expect(error.code == .failedPrecondition)
        #expect(error.message.contains(message), "\(error.message)")
        #expect(error.message.contains("draft") && error.message.contains("target"))
      }
    }
  }

  @Test func aFileWithoutTokensIsRefused() throws {
    let target = try file(["a"], name: "target")
    var writer = GGUFWriter()
    writer.set("general.architecture", .string("llama"))
    let bare = try GGUFFile(bytes: writer.bytes(), name: "bare")
    #expect(throws: ServingError.self) { try bare.checkVocabulary(isThatOf: target) }
  }
}
