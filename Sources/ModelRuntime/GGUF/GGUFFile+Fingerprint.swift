import COpenSSL
import ServingTypes

extension GGUFFile {
  /// Names the model: 32 hexadecimal digits of a SHA-256 over metadata, directory and samples of each tensor's data.
  ///
  /// Reading all of a model's data would take as long as loading it, so each tensor gives its first and last 4 KiB: two
  /// different models agree in all of these only by design, and workers that serve one model trust each other.
  public func modelFingerprint() throws(ServingError) -> String {
    let sample = 4_096
    guard let context = EVP_MD_CTX_new() else {
      throw ServingError(.resourceExhausted, "no memory for the model's fingerprint")
    }
    defer { EVP_MD_CTX_free(context) }
    var succeeded = EVP_DigestInit_ex(context, EVP_sha256(), nil) == 1
    func update(_ range: Range<Int>) {
      let part = UnsafeRawBufferPointer(rebasing: storage.bytes[range])
      succeeded = EVP_DigestUpdate(context, part.baseAddress, part.count) == 1 && succeeded
    }
    withUnsafeBytes(of: UInt64(byteCount).littleEndian) {
      succeeded = EVP_DigestUpdate(context, $0.baseAddress, $0.count) == 1 && succeeded
    }
    update(0..<headerBytes)
    for tensor in tensors {
      let end = tensor.offset + tensor.byteCount
      update(tensor.offset..<min(end, tensor.offset + sample))
      update(max(tensor.offset, end - sample)..<end)
    }
    var digest = [UInt8](repeating: 0, count: Int(EVP_MAX_MD_SIZE))
    var length: UInt32 = 0
    succeeded = EVP_DigestFinal_ex(context, &digest, &length) == 1 && succeeded
    guard succeeded, length >= 16 else { throw ServingError(.internalError, "SHA-256 of \(name) failed") }
    return digest.prefix(16).map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
  }
}
