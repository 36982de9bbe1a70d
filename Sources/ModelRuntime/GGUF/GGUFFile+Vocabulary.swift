import ServingTypes

extension GGUFFile {
  /// Checks that both files number the same tokens in the same way, so that one model's tokens mean the same to the other.
  ///
  /// - Throws: `failedPrecondition` that names the first difference.
  public func checkVocabulary(isThatOf other: GGUFFile) throws(ServingError) {
    let key = "tokenizer.ggml.tokens"
    let (own, others) = (try byteStrings(key), try other.byteStrings(key))
    func refuse(_ difference: String) -> ServingError {
      ServingError(
        .failedPrecondition, "\(name) cannot draft for \(other.name): their vocabularies differ: \(difference)")
    }
    guard own.count == others.count else { throw refuse("\(own.count) tokens and \(others.count)") }
    for token in 0..<own.count where own[token] != others[token] {
      func text(_ bytes: ArraySlice<UInt8>) -> String { String(decoding: bytes.prefix(40), as: UTF8.self) }
      throw refuse("token \(token) is '\(text(own[token]))' and '\(text(others[token]))'")
    }
  }
}
