/// GGUF metadata of small tokenizers, made for tests.
public enum SyntheticModel {
  /// A byte-level BPE vocabulary: the 256 bytes, a few words and what they are merged from, and control tokens.
  public static func bytePairTokenizer(preTokenizer: String = "gpt-2") -> GGUFWriter {
    var tokens = byteAlphabet
    let merges = [
      "h e", "l l", "he ll", "hell o", "Ġ w", "o r", "Ġw or", "Ġwor l", "Ġworl d", "Ġ Ġ", "ĠĠ ĠĠ", "1 2", "t he",
      "Ġ the",
      "Ċ Ċ", "a a", "aa aa",
    ]
    for merge in merges { tokens.append(merge.replacing(" ", with: "")) }
    var kinds = [Int32](repeating: 1, count: tokens.count)
    for (text, kind) in [("<|endoftext|>", 3), ("<|im_start|>", 3), ("<|im_end|>", 3), ("<tool>", 4)]
      as [(String, Int32)]
    {
      tokens.append(text)
      kinds.append(kind)
    }
    var writer = GGUFWriter()
    writer.set("general.architecture", .string("llama"))
    writer.set("tokenizer.ggml.model", .string("gpt2"))
    writer.set("tokenizer.ggml.pre", .string(preTokenizer))
    writer.set("tokenizer.ggml.tokens", .strings(tokens))
    writer.set("tokenizer.ggml.token_type", .int32s(kinds))
    writer.set("tokenizer.ggml.merges", .strings(merges))
    writer.set("tokenizer.ggml.bos_token_id", .uint32(UInt32(tokens.count - 3)))
    writer.set("tokenizer.ggml.eos_token_id", .uint32(UInt32(tokens.count - 2)))
    writer.set(
      "tokenizer.chat_template",
      .string(
        "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + "
          + "'\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"))
    return writer
  }

  /// A SentencePiece vocabulary: special tokens, the 256 bytes, letters and a few words with scores.
  public static func sentencePieceTokenizer() -> GGUFWriter {
    var tokens = ["<unk>", "<s>", "</s>"]
    var kinds: [Int32] = [2, 3, 3]
    for byte in 0..<256 {
      let digits = String(byte, radix: 16, uppercase: true)
      tokens.append("<0x" + (digits.utf8.count == 1 ? "0" : "") + digits + ">")
      kinds.append(6)
    }
    let words = [
      "▁hello", "▁world", "hello", "llo", "ll", "he", "▁he", "hell", "▁w", "or", "ld", "▁wor", "▁▁", "aa", "aaaa",
    ]
    let letters = "▁abcdefghijklmnopqrstuvwxyzé".map(String.init)
    tokens += words + letters
    kinds += [Int32](repeating: 1, count: words.count + letters.count)
    tokens.append("<turn>")
    kinds.append(4)
    var writer = GGUFWriter()
    writer.set("general.architecture", .string("gemma3"))
    writer.set("tokenizer.ggml.model", .string("llama"))
    writer.set("tokenizer.ggml.tokens", .strings(tokens))
    writer.set("tokenizer.ggml.token_type", .int32s(kinds))
    writer.set("tokenizer.ggml.scores", .floats(tokens.indices.map { -Float($0) }))
    writer.set("tokenizer.ggml.bos_token_id", .uint32(1))
    writer.set("tokenizer.ggml.eos_token_id", .uint32(2))
    writer.set("tokenizer.ggml.unknown_token_id", .uint32(0))
    writer.set("tokenizer.ggml.add_space_prefix", .bool(false))
    return writer
  }

  /// GPT-2's characters for the bytes 0 to 255.
  private static var byteAlphabet: [String] {
    var next: UInt32 = 0x100
    return (0..<256 as Range<UInt32>).map { byte in
      let isPrintable = (0x21...0x7E).contains(byte) || (0xA1...0xAC).contains(byte) || (0xAE...0xFF).contains(byte)
      let code = isPrintable ? byte : next
      if !isPrintable { next += 1 }
      return Unicode.Scalar(code).map { String($0) } ?? ""
    }
  }
}
