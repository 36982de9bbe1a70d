/// The tier that a worker serves. A worker of an embedded process serves both.
public enum WorkerRole: String, Hashable, Sendable, CaseIterable {
  case prefill
  case decode
  case both

  public var servesPrefill: Bool { self != .decode }
  public var servesDecode: Bool { self != .prefill }
}
