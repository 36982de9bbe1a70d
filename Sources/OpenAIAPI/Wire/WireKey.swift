/// A field's name as it is written on the wire.
struct WireKey: CodingKey, ExpressibleByStringLiteral {
  let stringValue: String
  var intValue: Int? { nil }

  init(stringLiteral value: String) { stringValue = value }

  init(stringValue: String) { self.stringValue = stringValue }

  init?(intValue: Int) { nil }
}
