import ServingTypes

/// A prefill worker that was asked and could not help.
public struct PrefillFailure: Hashable, Sendable {
  public var worker: WorkerReference
  public var code: ServingError.Code
  public var reason: String

  public init(worker: WorkerReference, code: ServingError.Code, reason: String) {
    self.worker = worker
    self.code = code
    self.reason = reason
  }
}
