/// A JSON value.
indirect enum WireValue: Hashable, Sendable {
  case null
  case boolean(Bool)
  /// Written without fraction or exponent, and within 64 bits, signed or not.
  case integer(Int128)
  case number(Double)
  case string(String)
  case array([WireValue])
  case object([String: WireValue])
}
