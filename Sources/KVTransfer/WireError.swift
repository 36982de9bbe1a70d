/// Why a message could not be read.
package enum WireError: Error, Equatable {
  /// The bytes at hand end before the message does; read it again with all of them.
  case needsMoreBytes
  /// The message is no valid protobuf, or a field breaks its contract; the text names the field.
  case malformed(String)
}
