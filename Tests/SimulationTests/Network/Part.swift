import GRPCCore
import GRPCTransport

/// What goes over a simulated call in either direction.
enum Part: Sendable {
  case metadata(Metadata)
  case message(GRPCBytes)
  case status(Status, Metadata)

  /// nil for a status, which no client sends.
  var request: RPCRequestPart<GRPCBytes>? {
    switch self {
    case .metadata(let metadata): .metadata(metadata)
    case .message(let bytes): .message(bytes)
    case .status: nil
    }
  }

  var response: RPCResponsePart<GRPCBytes> {
    switch self {
    case .metadata(let metadata): .metadata(metadata)
    case .message(let bytes): .message(bytes)
    case .status(let status, let metadata): .status(status, metadata)
    }
  }
}
