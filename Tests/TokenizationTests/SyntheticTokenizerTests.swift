import ModelRuntime
import ServingTestKit
import ServingTypes
import Testing
import Tokenization

@Suite struct SyntheticTokenizerTests {
  private func pieces(_ tokenizer: any Tokenizer, _ text: String, parseSpecial: Bool = false) -> [String] {
    tokenizer.encode(text, parseSpecial: parseSpecial, addSpecial: false).map {
      String(decoding: tokenizer.bytes(of: $0), as: UTF8.self)
    }
  }

  private func bytePair(_ preTokenizer: String = "gpt-2") throws -> any Tokenizer {
    try GGUFFile(bytes: SyntheticModel.bytePairTokenizer(preTokenizer: preTokenizer).bytes()).makeTokenizer()
  }

  private func sentencePiece(spacePrefix: Bool = false) throws -> any Tokenizer {
    var writer = SyntheticModel.sentencePieceTokenizer()
    if spacePrefix { writer.metadata.removeLast() }
    return try GGUFFile(bytes: writer.bytes()).makeTokenizer()
  }

  @Test func mergesInTheOrderOfTheMerges() throws {
    let tokenizer = try bytePair()
    #expect(pieces(tokenizer, "hello world") == ["hello", " world"])
    #expect(pieces(tokenizer, "helo") == ["he", "l", "o"])
    #expect(pieces(tokenizer, "aaaaaaa") == ["aaaa", "aa", "a"])
    #expect(pieces(tokenizer, " the12") == [" the", "12"])
    #expect(pieces(tokenizer, "") == [])
  }

  /// The heap against the plain rule: again and again merge the leftmost of the most important pairs.
  @Test(arguments: 0..<10 as Range<UInt64>)
  func mergesAsThePlainRuleDoes(seed: UInt64) throws {
    var random = SplitMix64(seed: seed)
    var tokens = ["a", "b", "c"]
    var merges: [(String, String)] = []
    while merges.count < 25 {
      guard let left = tokens.randomElement(using: &random), let right = tokens.randomElement(using: &random) else {
        break
      }
      guard left.count + right.count <= 9, !merges.contains(where: { $0 == (left, right) }) else { continue }
      merges.append((left, right))
      if !tokens.contains(left + right) { tokens.append(left + right) }
    }
    let vocabulary = TokenizerVocabulary(
      model: "gpt2", preTokenizer: "gpt-2", tokens: ByteStrings(tokens),
      merges: ByteStrings(merges.map { $0.0 + " " + $0.1 }))
    let tokenizer = try vocabulary.makeTokenizer()
    for _ in 0..<200 {
      let text = (0..<Int.random(in: 1...40, using: &random)).map { _ in
        ["a", "b", "c"].randomElement(using: &random) ?? "a"
      }
      var symbols = text
      while true {
        let ranks = zip(symbols, symbols.dropFirst()).map { pair in merges.firstIndex { $0 == pair } ?? .max }
        guard let best = ranks.min(), best < .max, let place = ranks.firstIndex(of: best) else { break }
        symbols.replaceSubrange(place...place + 1, with: [symbols[place] + symbols[place + 1]])
      }
      #expect(pieces(tokenizer, text.joined()) == symbols)
    }
  }

  @Test func preTokenizersCutWhereTheyShould() throws {
    // What shows the cut: "12" is one token only where digits stay together.
    #expect(pieces(try bytePair("smollm"), "12") == ["1", "2"])
    #expect(pieces(try bytePair("qwen2"), "12") == ["1", "2"])
    #expect(pieces(try bytePair("llama-bpe"), "12") == ["12"])
    // GPT-2 leaves the last space to the word; Qwen and Llama also keep line breaks together.
    #expect(pieces(try bytePair("gpt-2"), "     the") == ["    ", " the"])
    #expect(pieces(try bytePair("qwen2"), "\n\nhello") == ["\n\n", "hello"])
    #expect(pieces(try bytePair("gpt-2"), "\n\nhello") == ["\n", "\n", "hello"])
  }

  @Test func unknownTokenizersAreRefused() {
    for (key, value) in [("tokenizer.ggml.pre", "klingon"), ("tokenizer.ggml.model", "rwkv")] {
      var writer = SyntheticModel.bytePairTokenizer()
      if let index = writer.metadata.firstIndex(where: { $0.key == key }) {
        writer.metadata[index].value = .string(value)
      }
      let error = #expect(throws: ServingError.self) { try GGUFFile(bytes: writer.bytes()).makeTokenizer() }
      #expect(error?.code == .unimplemented)
      #expect(error?.message.contains(value) == true)
    }
  }

  @Test func contradictionsAreRefused() {
    func failure(_ change: (inout GGUFWriter) -> Void, _ writer: GGUFWriter) -> String? {
      var writer = writer
      change(&writer)
      do throws(ServingError) {
        _ = try GGUFFile(bytes: writer.bytes()).makeTokenizer()
        return nil
      } catch { return error.message }
    }
    func replace(_ key: String, _ value: GGUFWriter.Value?) -> (inout GGUFWriter) -> Void {
      { writer in
        writer.metadata.removeAll { $0.key == key }
        if let value { writer.set(key, value) }
      }
    }
    let bytePair = SyntheticModel.bytePairTokenizer()
    let sentencePiece = SyntheticModel.sentencePieceTokenizer()
    #expect(
      failure(replace("tokenizer.ggml.eos_token_id", .uint32(99_999)), bytePair)?.contains("eos_token_id") == true)
    #expect(failure(replace("tokenizer.ggml.eos_token_id", .int32(-1)), bytePair)?.contains("eos_token_id") == true)
    #expect(failure(replace("tokenizer.ggml.token_type", .int32s([1, 1])), bytePair)?.contains("token types") == true)
    #expect(failure(replace("tokenizer.ggml.token_type", .int32s([9])), bytePair)?.contains("token_type[0]") == true)
    #expect(failure(replace("tokenizer.ggml.tokens", .strings([])), bytePair)?.contains("0 tokens") == true)
    #expect(failure(replace("tokenizer.ggml.tokens", nil), bytePair)?.contains("tokens is missing") == true)
    #expect(failure(replace("tokenizer.ggml.merges", .strings(["ab"])), bytePair)?.contains("merges[0]") == true)
    #expect(failure(replace("tokenizer.ggml.scores", nil), sentencePiece)?.contains("0 scores") == true)
    #expect(failure(replace("tokenizer.ggml.scores", .floats([.nan])), sentencePiece)?.contains("scores") == true)
  }

  @Test func specialTokensAreParsedOnlyWhenAsked() throws {
    let tokenizer = try bytePair()
    let end = try #require(tokenizer.specialToken("<|im_end|>"))
    #expect(tokenizer.isControl(end))
    #expect(tokenizer.specialToken("<|im_end|> ") == nil)
    #expect(tokenizer.specialToken("hello") == nil)
    #expect(pieces(tokenizer, "hello<|im_end|>hello", parseSpecial: true) == ["hello", "<|im_end|>", "hello"])
    #expect(!tokenizer.encode("hello<|im_end|>", parseSpecial: false, addSpecial: false).contains(end))
    // A user-defined token is found in either case.
    #expect(pieces(tokenizer, "a<tool>a") == ["a", "<tool>", "a"])
    let tool = try #require(tokenizer.specialToken("<tool>"))
    #expect(!tokenizer.isControl(tool))
    #expect(tokenizer.endOfGenerationTokens.contains(end))
    #expect(tokenizer.decode([end, tool], skipControl: true) == "<tool>")
  }

  @Test func endTokensAreToldFromTextThatLooksLikeThem() throws {
    let texts = ["</s>", "<eos>", "<|im_end|>", "<|eot_id|>", "<end_of_turn>", "x"]
    let vocabulary = TokenizerVocabulary(
      model: "gpt2", preTokenizer: "gpt-2", tokens: ByteStrings(texts),
      kinds: [.normal, .userDefined, .normal, .control, .control, .normal], endOfSequence: 5)
    let tokenizer = try vocabulary.makeTokenizer()
    #expect(tokenizer.endOfGenerationTokens == [2, 3, 4, 5])
    #expect((0..<6).map { tokenizer.isControl($0) } == [false, false, true, true, true, false])
  }

  @Test func longerSpecialTokensGoFirst() throws {
    var tokens = ByteStrings(["a", "b", "c", "d", "ab", "bcd", "cd", "<x>"])
    tokens.append(Array("dab".utf8))
    let vocabulary = TokenizerVocabulary(
      model: "gpt2", preTokenizer: "gpt-2", tokens: tokens,
      kinds: [.normal, .normal, .normal, .normal, .userDefined, .userDefined, .userDefined, .control, .userDefined])
    let tokenizer = try vocabulary.makeTokenizer()
    #expect(pieces(tokenizer, "abcd") == ["a", "bcd"])
    #expect(pieces(tokenizer, "abccd") == ["ab", "c", "cd"])
    #expect(pieces(tokenizer, "abcdab") == ["a", "bcd", "ab"])
    #expect(pieces(tokenizer, "cdabab") == ["c", "dab", "ab"])
  }

  @Test func addsWhatTheFileSays() throws {
    for (begin, end) in [(true, true), (true, false), (false, true), (false, false)] {
      var writer = SyntheticModel.sentencePieceTokenizer()
      writer.set("tokenizer.ggml.add_bos_token", .bool(begin))
      writer.set("tokenizer.ggml.add_eos_token", .bool(end))
      let tokenizer = try GGUFFile(bytes: writer.bytes()).makeTokenizer()
      let tokens = tokenizer.encode("he", parseSpecial: false, addSpecial: true)
      #expect((tokens.first == 1) == begin)
      #expect((tokens.last == 2) == end)
      #expect(tokenizer.encode("he", parseSpecial: false, addSpecial: false).count == 1)
    }
    #expect(try bytePair().encode("a", parseSpecial: false, addSpecial: true).count == 1, "BPE adds nothing by default")
    #expect(try sentencePiece().encode("a", parseSpecial: false, addSpecial: true).count == 2)
  }

  @Test func sentencePieceMergesByScore() throws {
    let tokenizer = try sentencePiece()
    #expect(pieces(tokenizer, "hello") == ["hello"])
    #expect(pieces(tokenizer, "a hello") == ["a", " hello"])
    #expect(pieces(tokenizer, "aaaaaa") == ["aaaa", "aa"])
    #expect(pieces(tokenizer, "a<turn>a") == ["a", "<turn>", "a"])
    #expect(pieces(try sentencePiece(spacePrefix: true), "hello") == [" hello"])
  }

  @Test func sentencePieceFallsBackToBytes() throws {
    let tokenizer = try sentencePiece()
    let tokens = tokenizer.encode("é🦆Z", parseSpecial: false, addSpecial: false)
    #expect(tokens.count == 1 + 4 + 1)
    #expect(tokenizer.decode(tokens) == "é🦆Z")
    // Text that looks like a byte token is text.
    #expect(tokenizer.decode(tokenizer.encode("<0x41>", parseSpecial: false, addSpecial: false)) == "<0x41>")
  }

  @Test func tokensOutsideTheVocabularyAreNothing() throws {
    let tokenizer = try bytePair()
    for token in [-1, TokenID(tokenizer.vocabularySize), .max, .min] {
      #expect(tokenizer.bytes(of: token).isEmpty)
      #expect(!tokenizer.isControl(token))
    }
  }
}
