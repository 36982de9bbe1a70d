import ClusterHarness
import Foundation
import Observability
import ServingTypes

/// A live process's `/metrics`.
struct MetricsSource: Sendable {
  /// As it was given.
  let url: String
  private let client: HTTPClient
  private let path: String

  /// - Parameter url: `http://host:port`; the path is `/metrics` where it names none.
  init(_ url: String) throws(ServingError) {
    guard let parts = URLComponents(string: url), parts.scheme == "http", let host = parts.host, !host.isEmpty else {
      throw ServingError(.invalidArgument, "--url is '\(url)'; http://host:port is wanted")
    }
    self.url = url
    client = HTTPClient(address: "\(host):\(parts.port ?? 80)", timeout: .seconds(10), maximumBytes: 16 << 20)
    path = parts.percentEncodedPath.isEmpty || parts.percentEncodedPath == "/" ? "/metrics" : parts.percentEncodedPath
  }

  /// One reading.
  ///
  /// - Throws: `unavailable` when nobody answers in time, or somebody else does.
  func read() async throws(ServingError) -> MetricsSnapshot {
    let answer: HTTPAnswer
    do {
      answer = try await client.get(path)
    } catch {
      throw ServingError(.unavailable, "can't read \(url): \(error)")
    }
    guard answer.status == 200 else {
      throw ServingError(.unavailable, "can't read \(url): HTTP status \(answer.status)")
    }
    let snapshot: MetricsSnapshot
    do {
      snapshot = try MetricsSnapshot(parsing: answer.body)
    } catch {
      throw ServingError(.unavailable, "can't read \(url): \(error.message)")
    }
    guard snapshot.isBaton else { throw ServingError(.unavailable, "\(url) has no metric that begins with baton_") }
    return snapshot
  }
}
