import ServingTypes

extension WorkerRole {
  /// - Throws: `dataLoss` on a role that this version does not know.
  public init(wire text: String) throws(ServingError) {
    guard let role = WorkerRole(rawValue: text) else {
      throw ServingError(.dataLoss, "role is '\(text)'; it must be prefill, decode or both")
    }
    self = role
  }
}
