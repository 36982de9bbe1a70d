import CgRPC
import GRPCCore

/// What this transport knows of a call beyond GRPCCore's context; found in `ServerContext.transportSpecific`.
public struct LibGRPCServerContext: ServerContext.TransportSpecific {
  /// When the caller gives up; nil where it set no deadline.
  public var deadline: ContinuousClock.Instant?
  /// The names in the client's verified certificate; empty without mutual TLS.
  public var peerIdentities: [String]

  package init(deadline: ContinuousClock.Instant?, peerIdentities: [String] = []) {
    self.deadline = deadline
    self.peerIdentities = peerIdentities
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
