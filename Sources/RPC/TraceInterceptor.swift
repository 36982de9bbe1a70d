import GRPCCore
import Observability
import ServingTypes

/// Carries the trace of a request from call to call, in W3C's `traceparent` header: a server's handler runs in its caller's
/// trace, where it has one, and a client's call is a child of the trace it is made in.
public struct TraceInterceptor: ClientInterceptor, ServerInterceptor {
  private static let key = "traceparent"

  public init() {}

  public func intercept<Input: Sendable, Output: Sendable>(
    request: StreamingClientRequest<Input>,
    context: ClientContext,
    next: (StreamingClientRequest<Input>, ClientContext) async throws -> StreamingClientResponse<Output>
  ) async throws -> StreamingClientResponse<Output> {
    guard let trace = TraceContext.current else { return try await next(request, context) }
    var request = request
    request.metadata.replaceOrAddString(trace.child().traceparent, forKey: Self.key)
    return try await next(request, context)
  }

  public func intercept<Input: Sendable, Output: Sendable>(
    request: StreamingServerRequest<Input>,
    context: ServerContext,
    next: @Sendable (StreamingServerRequest<Input>, ServerContext) async throws -> StreamingServerResponse<Output>
  ) async throws -> StreamingServerResponse<Output> {
    let given = request.metadata[stringValues: Self.key].first { _ in true }
    guard let trace = given.flatMap({ TraceContext(traceparent: $0) }) else { return try await next(request, context) }
    return try await TraceContext.$current.withValue(trace) {
      var response = try await next(request, context)
      // A stream is produced after this scope.
      if case .success(var contents) = response.accepted {
        let produce = contents.producer
        contents.producer = { writer in
          try await TraceContext.$current.withValue(trace) { try await produce(writer) }
        }
        response.accepted = .success(contents)
      }
      return response
    }
  }
}
