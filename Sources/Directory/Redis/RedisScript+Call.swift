import COpenSSL
import ServingTypes

extension RedisScript {
  /// A call of a script, by its digest and, for a server that does not know it yet, by its text.
  struct Call: Sendable {
    private let script: RedisScript
    private let keys: [String]
    /// All arguments, and how many they are.
    private let arguments: [UInt8]
    private let count: Int
    private let slot: UInt16

    init(_ script: RedisScript, keys: [String], encoded arguments: [UInt8], count: Int, slot: UInt16) {
      self.script = script
      self.keys = keys
      self.arguments = arguments
      self.count = count
      self.slot = slot
    }

    init(_ script: RedisScript, keys: [String], arguments: [String], slot: UInt16) {
      var encoded = RedisPipeline()
      for argument in arguments { encoded.append(argument) }
      self.init(script, keys: keys, encoded: encoded.bytes, count: arguments.count, slot: slot)
    }

    var byDigest: RedisPipeline { pipeline("EVALSHA", script.digest) }
    var byText: RedisPipeline { pipeline("EVAL", script.text) }

    private func pipeline(_ command: String, _ name: String) -> RedisPipeline {
      var pipeline = RedisPipeline()
      pipeline.reserve(commands: 1, bytes: arguments.count + 256)
      pipeline.begin(arguments: 3 + keys.count + count)
      pipeline.append(command)
      pipeline.append(name)
      pipeline.append(String(keys.count))
      for key in keys { pipeline.append(key) }
      pipeline.append(encoded: arguments)
      pipeline.end(slot: slot)
      return pipeline
    }
  }

  /// The name by which Redis knows the script: its SHA-1.
  static func digest(of text: String) -> String {
    var digest = [UInt8](repeating: 0, count: Int(SHA_DIGEST_LENGTH))
    let bytes = Array(text.utf8)
    _ = SHA1(bytes, bytes.count, &digest)
    return digest.map { byte in (byte < 16 ? "0" : "") + String(byte, radix: 16) }.joined()
  }
}
