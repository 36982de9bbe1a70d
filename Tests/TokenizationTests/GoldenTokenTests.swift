import ModelRuntime
import ServingTestKit
import ServingTypes
import Testing
import Tokenization

@Suite(.enabled(if: !Golden.present.isEmpty, "no model is here"))
struct GoldenTokenTests {
  @Test(arguments: Golden.present)
  func tokensAreTheReferences(name: String) throws {
    let golden = try Golden.decode(name, as: Golden.Prompts.self)
    let tokenizer = try Golden.tokenizer(name)
    #expect(!golden.prompts.isEmpty)
    for (title, prompt) in golden.prompts {
      #expect(tokenizer.encode(prompt.text, parseSpecial: true, addSpecial: true) == prompt.ids, "\(title)")
      #expect(tokenizer.encode(prompt.text, parseSpecial: false, addSpecial: false) == prompt.idsPlain, "\(title)")
      #expect(tokenizer.decode(prompt.idsPlain) == prompt.text, "\(title)")
      #expect(tokenizer.decode(prompt.greedy) == prompt.greedyText, "\(title)")
      let firstEnd = prompt.greedy.firstIndex { tokenizer.endOfGenerationTokens.contains($0) }
      #expect(firstEnd == prompt.firstEog, "\(title)")
    }
  }

  @Test(arguments: Golden.present)
  func streamedTextIsTheDecodedText(name: String) throws {
    let golden = try Golden.decode(name, as: Golden.Prompts.self)
    let tokenizer = try Golden.tokenizer(name)
    for (title, prompt) in golden.prompts {
      var detokenizer = StreamingDetokenizer(tokenizer, skipsControl: false)
      var text = ""
      for token in prompt.idsPlain {
        let piece = detokenizer.append(token)
        #expect(!piece.unicodeScalars.contains("\u{FFFD}"))
        text += piece
      }
      #expect(text + detokenizer.finish() == prompt.text, "\(title)")
    }
  }

  @Test(arguments: Golden.present)
  func longRunsOfOneCharacterAreNoTrouble(name: String) throws {
    let tokenizer = try Golden.tokenizer(name)
    for unit in ["a", " ", "\n", "1", "啊", "<"] {
      let text = String(repeating: unit, count: 100_000 / unit.utf8.count)
      #expect(tokenizer.decode(tokenizer.encode(text, parseSpecial: true, addSpecial: false)) == text)
    }
  }

  @Test(arguments: Golden.present)
  func anyTextComesBack(name: String) throws {
    let tokenizer = try Golden.tokenizer(name)
    var random = SplitMix64(seed: 7)
    let pool = Array("abcXYZ 0129 \n\r\t'’.,!?<|>_äöüß中文字🦆👩‍👩‍👧‍👧\u{0301}\u{200B}\u{00A0}\u{0}ѣŉ½Ⅷ٣अ한".unicodeScalars)
    for _ in 0..<300 {
      var text = ""
      for _ in 0..<Int.random(in: 0...60, using: &random) {
        if let scalar = pool.randomElement(using: &random) { text.unicodeScalars.append(scalar) }
      }
      let tokens = tokenizer.encode(text, parseSpecial: false, addSpecial: false)
      let decoded = tokenizer.decode(tokens)
      #expect(Array(decoded.utf8) == Array(text.utf8))
    }
  }

  @Test(arguments: Golden.present)
  func plainTextNeverBecomesAControlToken(name: String) throws {
    let tokenizer = try Golden.tokenizer(name)
    let control = (0..<TokenID(tokenizer.vocabularySize)).filter { tokenizer.isControl($0) }
    #expect(!control.isEmpty)
    for token in control {
      let text = String(decoding: tokenizer.bytes(of: token), as: UTF8.self)
      #expect(tokenizer.encode(text, parseSpecial: true, addSpecial: false) == [token])
      let plain = tokenizer.encode(text, parseSpecial: false, addSpecial: false)
      #expect(!plain.contains { tokenizer.isControl($0) })
      #expect(tokenizer.decode(plain) == text)
    }
  }

  /// Qwen's and Gemma's vocabularies have the tag as an ordinary token: HTML must not end a generation.
  @Test(arguments: Golden.present)
  func aClosingTagIsNoEnd(name: String) throws {
    let tokenizer = try Golden.tokenizer(name)
    let tokens = tokenizer.encode("<s>old</s>", parseSpecial: false, addSpecial: false)
    #expect(!tokens.contains { tokenizer.endOfGenerationTokens.contains($0) })
  }

  @Test func chatTemplatesWriteWhatJinjaWrites() throws {
    for conversation in try Golden.decode("chat", as: [Golden.Conversation].self) {
      guard let path = ModelFile.path(conversation.model) else { continue }
      let template = try GGUFFile(path: path).makeChatTemplate()
      let messages = try conversation.messages.map { try ChatMessage(role: $0.role, content: $0.content) }
      let text = try template.render(messages: messages, addGenerationPrompt: conversation.addGenerationPrompt)
      #expect(text == conversation.text)
    }
  }

  @Test(.enabled(if: ModelFile.path(ModelFile.gemma3) != nil))
  func aBaseModelHasNoChatTemplate() throws {
    let file = try GGUFFile(path: #require(ModelFile.path(ModelFile.gemma3)))
    let error = #expect(throws: ServingError.self) { try file.makeChatTemplate() }
    #expect(error?.code == .failedPrecondition)
    #expect(error?.message.contains("no chat template") == true)
  }
}
