import CgRPC
import GRPCCore

/// What this transport knows of a call beyond GRPCCore's context; found in `ServerContext.transportSpecific`.
public struct LibGRPCServerContext: ServerContext.TransportSpecific {
  /// When the caller gives up; nil where it set no deadline.
  public var deadline: ContinuousClock.Instant?
  /// The names in the client's verified certificate; empty without mutual TLS.
  public var peerIdentities: [String]

  /// Writes a message of a streamed response, after its head, where none before it is under way.
  ///
  /// False where it can't be written at once: nothing was written, and the response's writer waits, or tells why not.
  package let writeNow: @Sendable (GRPCBytes) -> Bool

  package init(
    deadline: ContinuousClock.Instant?, peerIdentities: [String] = [],
    writeNow: @escaping @Sendable (GRPCBytes) -> Bool = { _ in false }
  ) {
    self.deadline = deadline
    self.peerIdentities = peerIdentities
    self.writeNow = writeNow
  }
}

extension ServerContext {
  /// When the caller gives up; nil where it set no deadline, or with other transports.
  public var deadline: ContinuousClock.Instant? { (transportSpecific as? LibGRPCServerContext)?.deadline }

  /// The names in the client's verified certificate; empty without mutual TLS.
  public var peerIdentities: [String] { (transportSpecific as? LibGRPCServerContext)?.peerIdentities ?? [] }
}

extension Call {
  /// The names in the peer's verified certificate.
  var peerIdentities: [String] {
    guard let context = grpc_call_auth_context(raw) else { return [] }
    defer { grpc_auth_context_release(context) }
    guard grpc_auth_context_peer_is_authenticated(context) != 0 else { return [] }
    var iterator = grpc_auth_context_peer_identity(context)
    var names: [String] = []
    while let property = grpc_auth_property_iterator_next(&iterator) {
      let bytes = UnsafeRawBufferPointer(start: property.pointee.value, count: property.pointee.value_length)
      names.append(String(decoding: bytes, as: UTF8.self))
    }
    return names
  }
}
