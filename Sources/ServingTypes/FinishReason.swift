/// Why a sequence stopped.
public enum FinishReason: String, Hashable, Sendable {
  /// An end-of-generation token, a stop token or a stop string.
  case stop
  /// The token limit of the request or the model's context was reached.
  case length
  /// The request was cancelled; only ever seen inside a worker.
  case cancelled
}
