import ServingTypes

/// A request on its way through the router, and the end of the stream that its client reads.
final class GenerationJob: Sendable {
  let request: PreparedRequest
  let sink: GenerationSink

  init(request: PreparedRequest, sink: GenerationSink) {
    self.request = request
    self.sink = sink
  }

  deinit {
    // Without effect where the answer has ended, as it has unless the router stopped before it took this job.
    sink.finish(throwing: ServingError(.unavailable, "the router is shutting down", retryAfter: .seconds(1)))
  }
}
