import GRPCCore

/// Takes messages of a response where they arrive, on the queue's thread, so that the response's reader need not be woken for
/// each.
///
/// It is offered each message that the reader waits for, and the reader gets what it refuses. Nothing resumes the reader meanwhile,
/// not even its cancellation; once the reader has been resumed, nothing is offered before it waits again. Messages of a call with a
/// limit of its own (`CallOptions.maxResponseMessageBytes`) are not offered.
public final class ArrivalHandler: Sendable {
  /// Of the calls that a task makes, but not of those that are made while their responses are read.
  @TaskLocal public static var current: ArrivalHandler?

  /// Must not wait. False for a message that the reader shall have.
  package let handle: @Sendable (GRPCBytes) -> Bool

  public init(_ handle: @escaping @Sendable (GRPCBytes) -> Bool) { self.handle = handle }
}
