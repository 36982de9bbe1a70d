import ModelRuntime
import Scheduling
import ServingTypes

// The life of a request.
extension EngineLoop {
  func accept(_ submission: Submission) {
    statistics.requestsAccepted += 1
    var submission = submission
    submission.request.sampling.seed = submission.seed
    let request = submission.request
    let count = request.sampling.n
    let generated = request.generated.isEmpty ? [[TokenID]](repeating: [], count: count) : request.generated
    var samples: [ActiveRequest.Sample] = []
    for tokens in generated {
      samples.append(
        ActiveRequest.Sample(
          counts: TokenCounts(prompt: request.prompt, output: tokens, parameters: request.sampling),
          drafts: speculator.makeDrafts()))
    }
    let probe = ActiveRequest(submission, group: nil, samples: samples, endOfGeneration: endOfGeneration)
    var ended: [(sample: Int, reason: FinishReason)] = []
    for (sample, tokens) in generated.enumerated() {
      guard let last = tokens.last else { continue }
      let reason = probe.finishReason(count: tokens.count, token: last, maximumContextLength: maximumContextLength)
      if let reason { ended.append((sample, reason)) }
    }
    for (sample, _) in ended { samples[sample].isFinished = true }
    let group = ended.count == count ? nil : makeGroup(submission, generated, Set(ended.map(\.sample)))
    let active = ActiveRequest(submission, group: group, samples: samples, endOfGeneration: endOfGeneration)
    requests[submission.key] = active
    if case .generation(let buffer) = submission.sink {
      for (sample, reason) in ended {
        outgoing.append(.generation(buffer, .tokens(sample: sample, tokens: [], finish: reason)))
      }
    }
    guard let group else { return endFinished(active) }
    scheduler.add(group)
    statistics.promptTokens += UInt64(request.prompt.count)
    noteDeadline(request.deadline)
  }

  private func makeGroup(
    _ submission: Submission, _ generated: [[TokenID]], _ finished: Set<Int>
  ) -> SequenceGroup {
    var (isLent, isReceived) = (false, false)
    switch submission.kind {
    case .generate: break
    case .prefill: isLent = true
    case .receive: isReceived = true
    }
    let request = submission.request
    return SequenceGroup(
      key: submission.key, samples: generated.map { request.prompt + $0 }, finished: finished,
      prefixCount: submission.prefix.count, hashes: submission.hashes,
      root: BlockHash.root(salt: request.cacheSalt, blockSize: blockSize), priority: request.priority,
      tenant: request.tenant, arrival: submission.arrival, isLent: isLent, isReceived: isReceived,
      promptLogitCount: request.sampling.promptLogprobs == nil ? 0 : request.prompt.count - 1,
      fetchableBlocks: request.holders.reduce(0) { max($0, $1.blocks) })
  }

  /// The request left the queue: it runs, or it is over.
  func leaveQueue(_ request: ActiveRequest) {
    guard request.hasQueuePlace else { return }
    request.hasQueuePlace = false
    mailbox.leaveQueue(at: clock.now)
    if let group = request.group, let admitted = group.admitted {
      request.summary.queueSeconds = (admitted - group.arrival).seconds
      request.summary.cachedTokens = group.cachedCount
      statistics.cachedPromptTokens += UInt64(group.cachedCount)
      statistics.queueSeconds.record(request.summary.queueSeconds)
    }
  }

  /// Ends the request without a result. Its blocks are free, or with those who still read them, from now on.
  func fail(_ request: ActiveRequest, _ error: ServingError) {
    if error.code == .cancelled { statistics.requestsCancelled += 1 } else { statistics.requestsFailed += 1 }
    end(request, error)
  }

  /// Every sample has ended.
  func endFinished(_ request: ActiveRequest) {
    statistics.requestsFinished += 1
    if case .generation(let buffer) = request.submission.sink {
      if let first = request.firstToken {
        request.summary.decodeSeconds = (clock.now - first).seconds
      }
      outgoing.append(.generation(buffer, .finished(request.summary)))
    }
    end(request, nil)
  }

  func end(_ request: ActiveRequest, _ error: ServingError?) {
    if let group = request.group {
      // Whose answer goes on elsewhere says nothing of how long it gets.
      for sequence in group.sequences where !group.isLent {
        speculator.remember(
          sequence, promptCount: request.submission.request.prompt.count, salt: request.submission.request.cacheSalt,
          isWhole: error == nil && !request.samples[sequence.sample].hasReachedLimit)
      }
      if error?.code != .cancelled || !configuration.mutants.contains(.forgetReleaseOnCancel) { scheduler.end(group) }
    }
    requests[request.submission.key] = nil
    leaveQueue(request)
    let reason = error ?? Self.notReceiving
    if let reply = request.reserveReply { outgoing.append(.count(reply, .failure(reason))) }
    if let reply = request.bindReply { outgoing.append(.slots(reply, .failure(reason))) }
    request.reserveReply = nil
    request.bindReply = nil
    outgoing.append(.close(request.submission.sink, error))
  }

  func stopSample(_ key: UInt64, _ sample: Int) {
    guard let request = requests[key], let group = request.group, !request.samples[sample].isFinished else { return }
    request.samples[sample].isFinished = true
    let sequence = group.sequences[sample]
    if request.samples.allSatisfy(\.isFinished) {
      endFinished(request)
    } else if sequence === group.leader, !group.isForked {
      // The others still need the prompt that it computes.
      request.samples[sample].isStopping = true
    } else {
      scheduler.finish(sequence)
    }
  }

  /// Gives a sample its next token.
  ///
  /// - Parameter given: ends the sample where nothing here does.
  /// - Returns: why the sample ends with it, for `emit`; nil when it goes on.
  func append(
    _ token: GeneratedToken, to sample: Int, of request: ActiveRequest, finish given: FinishReason? = nil,
    into tokens: inout [GeneratedToken]
  ) -> FinishReason? {
    guard let group = request.group else { return .stop }
    let sequence = group.sequences[sample]
    sequence.append(token.id)
    tokens.append(token)
    request.samples[sample].counts.append(token.id)
    request.samples[sample].drafts.append(token.id)
    request.summary.generatedTokens += 1
    statistics.generatedTokens += 1
    if request.firstToken == nil {
      let now = clock.now
      request.firstToken = now
      request.summary.fetchedBlocks = group.fetchedBlocks
      request.summary.fetchSeconds = group.fetchSeconds
      request.summary.firstTokenSeconds = (now - group.arrival).seconds
      request.summary.prefillSeconds = (now - (group.admitted ?? now)).seconds
    }
    let count = sequence.tokens.count - request.submission.request.prompt.count
    return request.finishReason(count: count, token: token.id, maximumContextLength: maximumContextLength) ?? given
  }

  /// Reports a sample's new tokens, and ends it where they did.
  func emit(_ tokens: [GeneratedToken], of sample: Int, in request: ActiveRequest, finish: FinishReason?) {
    guard let group = request.group else { return }
    if case .generation(let buffer) = request.submission.sink {
      outgoing.append(.generation(buffer, .tokens(sample: sample, tokens: tokens, finish: finish)))
    }
    guard let finish else { return }
    request.samples[sample].isFinished = true
    request.samples[sample].hasReachedLimit = finish == .length
    if request.samples.allSatisfy(\.isFinished) {
      endFinished(request)
    } else {
      scheduler.finish(group.sequences[sample])
    }
  }
}
