import ServingProtos
import ServingTypes

/// Token ids as they travel.
@inlinable
public func wireTokens(_ tokens: some Collection<TokenID>) -> [UInt32] { tokens.map { UInt32(bitPattern: $0) } }

/// Token ids that arrived in the field called `field`.
///
/// Only the range of the type is checked: whether the vocabulary has the token is for the engine to say.
/// - Throws: `invalidArgument` that names the field, the index and the value.
public func tokenIDs(_ values: [UInt32], field: String) throws(ServingError) -> [TokenID] {
  if let index = values.firstIndex(where: { $0 > UInt32(TokenID.max) }) {
    throw ServingError(.invalidArgument, "\(field)[\(index)] is \(values[index]), which is no token id")
  }
  return values.map { TokenID(bitPattern: $0) }
}

func tokenID(_ value: UInt32, field: String) throws(ServingError) -> TokenID {
  guard let token = TokenID(exactly: value) else {
    throw ServingError(.invalidArgument, "\(field) is \(value), which is no token id")
  }
  return token
}

/// A count as it travels: what does not fit is capped.
func wireCount(_ value: Int) -> UInt32 { UInt32(clamping: value) }
