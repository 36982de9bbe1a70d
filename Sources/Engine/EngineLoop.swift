import ModelRuntime
import ServingTypes

/// What the engine's thread runs: take the mailbox, schedule, compute, sample, report.
final class EngineLoop {
  let executor: any ModelExecutor
  let configuration: EngineConfiguration
  let maximumContextLength: Int
  let mailbox: EngineMailbox
  let snapshot: Lock<EngineStatistics>

  init(
    executor: any ModelExecutor, configuration: EngineConfiguration, maximumContextLength: Int, mailbox: EngineMailbox,
    snapshot: Lock<EngineStatistics>
  ) {
    self.executor = executor
    self.configuration = configuration
    self.maximumContextLength = maximumContextLength
    self.mailbox = mailbox
    self.snapshot = snapshot
  }

  func run() { refuseEverything() }

  /// Ends everything that waits in the mailbox.
  func refuseEverything() {
    for command in mailbox.close().commands { command.refuse(EngineMailbox.stopped) }
  }
}
