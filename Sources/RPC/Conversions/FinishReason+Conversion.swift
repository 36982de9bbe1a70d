import ServingProtos
import ServingTypes

extension Baton_V1_FinishReason {
  /// Unspecified for nil and for a cancelled sequence, which has no reader.
  public init(_ reason: FinishReason?) {
    switch reason {
    case .stop: self = .stop
    case .length: self = .length
    case .cancelled, nil: self = .unspecified
    }
  }
}

extension FinishReason {
  /// Nil while the sample goes on.
  /// - Throws: `dataLoss` on a reason that this version does not know.
  public static func decode(_ message: Baton_V1_FinishReason) throws(ServingError) -> FinishReason? {
    switch message {
    case .unspecified: return nil
    case .stop: return .stop
    case .length: return .length
    case .UNRECOGNIZED(let value):
      throw ServingError(.dataLoss, "finish_reason is \(value), which this version does not know")
    }
  }
}
