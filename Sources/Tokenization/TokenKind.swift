/// What a token is for, by its number in the file.
public enum TokenKind: UInt8, Hashable, Sendable {
  case normal = 1
  case unknown, control, userDefined, unused, byte
}
