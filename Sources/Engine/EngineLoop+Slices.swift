import ModelRuntime
import Scheduling
import ServingTypes

// The part of a long prompt's chunk that goes into a step after everything else.
extension EngineLoop {
  /// Carries the chunk on until the step has taken its time: whatever made its other parts longer makes this one shorter, so
  /// that the running sequences' tokens come evenly. One piece at least, so that the chunk ends.
  ///
  /// - Parameter started: when the step did.
  func advanceSlice(since started: ContinuousClock.Instant) {
    guard let slice = scheduler.output.slice, let request = requests[slice.segment.sequence.group.key],
      slice.segment.sequence.status == .running
    else { return }
    do throws(ServingError) {
      if slice.isFirst {
        slices.begin()
        add(slice.segment, to: &slices.batch)
        try executor.begin(slices.batch)
      }
      let end = started + .seconds(slice.stepSeconds)
      var now = clock.now
      repeat {
        let before = now
        let logits = try executor.advance()
        now = clock.now
        slices.note((now - before).seconds)
        if let logits {
          scheduler.endSlices(seconds: slices.seconds)
          statistics.batchedTokens += UInt64(slice.segment.count)
          return update(slice.segment, logits, row: 0)
        }
      } while now + .seconds(slices.pieceSeconds / 2) < end
    } catch {
      fail(request, error)
    }
  }
}
