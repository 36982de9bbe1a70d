import ServingTypes
import Tokenization

extension GGUFFile {
  /// The tokenizer that the file describes under `tokenizer.ggml.…`.
  public func makeTokenizer() throws(ServingError) -> any Tokenizer {
    do throws(ServingError) {
      return try tokenizerVocabulary().makeTokenizer()
    } catch {
      throw error.message.hasPrefix(name) ? error : ServingError(error.code, "\(name): \(error.message)")
    }
  }

  /// The chat template that the file carries; throws `failedPrecondition` where it has none, as base models do.
  public func makeChatTemplate() throws(ServingError) -> ChatTemplate {
    guard let source = try optionalString("tokenizer.chat_template"), !source.isEmpty else {
      throw ServingError(
        .failedPrecondition, "\(name): the model has no chat template: give it a plain prompt, or use an instruct model"
      )
    }
    do throws(ServingError) {
      return try ChatTemplate(source)
    } catch { throw ServingError(error.code, "\(name): \(error.message)") }
  }

  private func tokenizerVocabulary() throws(ServingError) -> TokenizerVocabulary {
    let tokens = try byteStrings("tokenizer.ggml.tokens")
    let kinds = try optionalInts("tokenizer.ggml.token_type") ?? []
    var typedKinds: [TokenKind] = []
    typedKinds.reserveCapacity(kinds.count)
    for (token, number) in kinds.enumerated() {
      guard let kind = UInt8(exactly: number).flatMap(TokenKind.init(rawValue:)) else {
        throw ServingError(.dataLoss, "\(name): tokenizer.ggml.token_type[\(token)] is \(number); 1 to 6 are known")
      }
      typedKinds.append(kind)
    }
    return TokenizerVocabulary(
      model: try string("tokenizer.ggml.model"),
      preTokenizer: try optionalString("tokenizer.ggml.pre") ?? "",
      tokens: tokens,
      kinds: typedKinds,
      scores: try optionalFloats("tokenizer.ggml.scores") ?? [],
      merges: try optionalByteStrings("tokenizer.ggml.merges") ?? ByteStrings(),
      beginningOfSequence: try tokenID("tokenizer.ggml.bos_token_id"),
      endOfSequence: try tokenID("tokenizer.ggml.eos_token_id"),
      endOfTurn: try tokenID("tokenizer.ggml.eot_token_id"),
      unknown: try tokenID("tokenizer.ggml.unknown_token_id"),
      addsBeginningOfSequence: try optionalBool("tokenizer.ggml.add_bos_token"),
      addsEndOfSequence: try optionalBool("tokenizer.ggml.add_eos_token"),
      addsSpacePrefix: try optionalBool("tokenizer.ggml.add_space_prefix"))
  }

  private func tokenID(_ key: String) throws(ServingError) -> TokenID? {
    guard let number = try optionalInt(key) else { return nil }
    guard let token = TokenID(exactly: number), token >= 0 else {
      throw ServingError(.dataLoss, "\(name): \(key) is \(number), no token")
    }
    return token
  }
}
