/// What a pool's thread is started with.
final class JobWorker: Sendable {
  let board: JobBoard
  let lane: Int

  init(board: JobBoard, lane: Int) {
    self.board = board
    self.lane = lane
  }
}
