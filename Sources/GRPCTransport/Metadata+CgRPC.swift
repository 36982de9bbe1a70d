import CgRPC
import GRPCCore

extension Metadata {
  /// What the library received. Values of keys that end in `-bin` are raw bytes there.
  init(_ array: grpc_metadata_array) {
    self.init()
    reserveCapacity(array.count)
    for index in 0..<array.count {
      var entry = array.metadata[index]
      let key = String(slice: &entry.key)
      if key.hasSuffix("-bin") {
        addBinary(Array(slice: &entry.value), forKey: key)
      } else {
        addString(String(slice: &entry.value), forKey: key)
      }
    }
  }

  /// Calls `body` with the entries as the library wants them, which it copies when a batch is started.
  ///
  /// The timeout is left out: the library derives it from the call's deadline.
  ///
  /// - Throws: `RPCError` with code `invalidArgument` that names a key which cannot be sent.
  func withEntries<Result>(
    _ body: (_ entries: UnsafeMutablePointer<grpc_metadata>?, _ count: Int) throws -> Result
  ) throws -> Result {
    if isEmpty { return try body(nil, 0) }
    let entries = UnsafeMutablePointer<grpc_metadata>.allocate(capacity: count)
    var filled = 0
    defer {
      for index in 0..<filled {
        grpc_slice_unref(entries[index].key)
        grpc_slice_unref(entries[index].value)
      }
      entries.deallocate()
    }
    for (name, value) in self {
      let key = name.lowercased()
      if key == Metadata.timeoutKey { continue }
      var entry = grpc_metadata()
      entry.key = grpc_slice(copying: key)
      guard grpc_header_key_is_legal(entry.key) != 0 else {
        grpc_slice_unref(entry.key)
        throw RPCError(code: .invalidArgument, message: "the metadata key '\(name)' is not legal")
      }
      if key.hasSuffix("-bin") {
        entry.value = Metadata.bytes(of: value).withUnsafeBytes { grpc_slice(copying: $0) }
      } else {
        entry.value = grpc_slice(copying: value.encoded())
        guard grpc_header_nonbin_value_is_legal(entry.value) != 0 else {
          grpc_slice_unref(entry.key)
          grpc_slice_unref(entry.value)
          throw RPCError(
            code: .invalidArgument,
            message: "the value of the metadata key '\(name)' is not printable ASCII; use a key that ends in '-bin'")
        }
      }
      entries.advanced(by: filled).initialize(to: entry)
      filled += 1
    }
    return try body(entries, filled)
  }

  static let timeoutKey = "grpc-timeout"

  /// A string under a binary key is base 64 by convention.
  private static func bytes(of value: Value) -> [UInt8] {
    switch value {
    case .binary(let bytes):
      return bytes
    case .string:
      let single: Metadata = ["value-bin": value]
      for bytes in single[binaryValues: "value-bin"] { return bytes }
      return []
    }
  }
}

extension String {
  init(slice: inout grpc_slice) {
    self = String(
      decoding: UnsafeRawBufferPointer(start: cgrpc_slice_start(&slice), count: cgrpc_slice_length(&slice)),
      as: UTF8.self)
  }
}

extension [UInt8] {
  init(slice: inout grpc_slice) {
    self = Array(UnsafeRawBufferPointer(start: cgrpc_slice_start(&slice), count: cgrpc_slice_length(&slice)))
  }
}

extension grpc_slice {
  init(copying string: String) {
    var string = string
    self = string.withUTF8 { grpc_slice(copying: UnsafeRawBufferPointer($0)) }
  }

  init(copying bytes: UnsafeRawBufferPointer) {
    guard let start = bytes.baseAddress, !bytes.isEmpty else {
      self = grpc_empty_slice()
      return
    }
    self = grpc_slice_from_copied_buffer(start.assumingMemoryBound(to: CChar.self), bytes.count)
  }
}
