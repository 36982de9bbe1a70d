import GRPCCore
import ServingTypes

/// One bearer token that all parts of a deployment share: a client sends it, a server demands it.
public struct AuthenticationInterceptor: ClientInterceptor, ServerInterceptor, CustomStringConvertible {
  private let token: [UInt8]
  private let header: String
  private let openServices: Set<String>

  /// - Parameters:
  ///   - token: printable ASCII, not empty.
  ///   - openServices: asked without a token, for probes.
  /// - Throws: `ServingError` with code `invalidArgument` for a token that cannot be sent.
  public init(
    token: String, openServices: Set<String> = ["grpc.health.v1.Health"]
  ) throws(ServingError) {
    guard !token.isEmpty, token.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else {
      throw ServingError(.invalidArgument, "the token must be printable ASCII without blanks, and not empty")
    }
    self.token = Array(token.utf8)
    self.openServices = openServices
    header = "Bearer \(token)"
  }

  public var description: String { "AuthenticationInterceptor" }

  public func intercept<Input: Sendable, Output: Sendable>(
    request: StreamingClientRequest<Input>,
    context: ClientContext,
    next: (StreamingClientRequest<Input>, ClientContext) async throws -> StreamingClientResponse<Output>
  ) async throws -> StreamingClientResponse<Output> {
    var request = request
    request.metadata.replaceOrAddString(header, forKey: "authorization")
    return try await next(request, context)
  }

  public func intercept<Input: Sendable, Output: Sendable>(
    request: StreamingServerRequest<Input>,
    context: ServerContext,
    next: @Sendable (StreamingServerRequest<Input>, ServerContext) async throws -> StreamingServerResponse<Output>
  ) async throws -> StreamingServerResponse<Output> {
    if openServices.contains(context.descriptor.service.fullyQualifiedService) {
      return try await next(request, context)
    }
    for value in request.metadata[stringValues: "authorization"] where isRight(value) {
      return try await next(request, context)
    }
    return StreamingServerResponse(
      error: RPCError(code: .unauthenticated, message: "the call carries no valid bearer token"))
  }

  /// Takes as long for any wrong token of one length.
  func isRight(_ value: String) -> Bool {
    let prefix = "bearer "
    guard value.prefix(prefix.count).lowercased() == prefix else { return false }
    let given = Array(value.dropFirst(prefix.count).utf8)
    var difference = given.count ^ token.count
    for (index, byte) in given.enumerated() { difference |= Int(byte ^ token[index % token.count]) }
    return difference == 0
  }
}
