import ModelRuntime
import ServingTestKit
import ServingTypes
import Testing

/// A pass in pieces gives the bits of a whole one, in its logits and in the blocks, whatever runs between its pieces.
struct PiecewisePassTests {
  private static func bytes(_ session: ModelSession, _ index: Int) -> [UInt8] {
    session.sequences[index].blocks.flatMap { [UInt8](session.executor.memory.bytes(of: $0)) }
  }

  /// Computes the prompt in passes of `chunk` tokens, and after every `pieces` pieces a step of somebody else; compares both.
  private func expectSameBits(
    _ weights: ModelWeights, length: Int, chunk: Int, pieces: Int, threads: Int = 2, path: KernelPath? = nil,
    arithmetic: KernelArithmetic = .fast, kvDType: KVDType = .f16, blockSize: Int = 16
  ) throws {
    let prompt = TinyModel.prompt(length, seed: 7)
    let other = TinyModel.prompt(40, seed: 8)
    let alone = try ModelSession(
      weights, arithmetic: arithmetic, threads: threads, kvDType: kvDType, blockSize: blockSize)
    let whole = alone.add(prompt)
    let expected = try #require(try alone.step([whole: length])[whole])
    let company = alone.add(other)
    var expectedOther: [[Float]] = []
    for _ in other { expectedOther.append(try #require(try alone.step([company: 1])[company])) }

    let session = try ModelSession(
      weights, arithmetic: arithmetic, path: path, threads: threads, kvDType: kvDType, blockSize: blockSize)
    let (index, beside) = (session.add(prompt), session.add(other))
    var (last, round, done): ([Float], Int, Int) = ([], 0, 0)
    while session.sequences[index].stored < length {
      try session.begin(index, chunk)
      while true {
        done += 1
        if let logits = try session.advance() {
          last = logits
          break
        }
        if done % pieces == 0, round < other.count {
          #expect(try session.step([beside: 1])[beside] == expectedOther[round])
          round += 1
        }
      }
    }
    #expect(last == expected)
    #expect(Self.bytes(session, index) == Self.bytes(alone, whole))
    #expect(round > 0)
  }

  @Test(arguments: ModelArchitecture.allCases, KVDType.allCases)
  func storedTypes(architecture: ModelArchitecture, dtype: KVDType) throws {
    let weights = try InvarianceTests.weights(architecture)
    for (chunk, pieces) in [(330, 1), (100, 2), (33, 7)] {
      try expectSameBits(weights, length: 330, chunk: chunk, pieces: pieces, kvDType: dtype)
    }
  }

  @Test(arguments: ModelArchitecture.allCases)
  func piecesThreadsAndPaths(architecture: ModelArchitecture) throws {
    let weights = try InvarianceTests.weights(architecture)
    for pieces in 1...12 { try expectSameBits(weights, length: 90, chunk: 64, pieces: pieces) }
    for threads in [1, 3, 5] { try expectSameBits(weights, length: 300, chunk: 128, pieces: 1, threads: threads) }
    for path in KernelPath.allCases.filter(\.isSupported) {
      try expectSameBits(weights, length: 60, chunk: 40, pieces: 1, path: path)
    }
    for blockSize in [8, 11, 64] {
      try expectSameBits(weights, length: 200, chunk: 150, pieces: 1, blockSize: blockSize)
    }
    try expectSameBits(weights, length: 50, chunk: 30, pieces: 1, arithmetic: .reference)
  }

  /// Deep in a context one layer's attention is several pieces, and where few tokens are left, splits.
  @Test(arguments: [ModelArchitecture.llama, .gemma3], [2, 3])
  func longContexts(architecture: ModelArchitecture, threads: Int) throws {
    let weights = try InvarianceTests.weights(architecture)
    try expectSameBits(weights, length: 2_040, chunk: 600, pieces: 40, threads: threads)
  }

  /// What was begun and given up leaves nothing behind.
  @Test(arguments: [0, 1, 5, 11]) func abandoned(pieces: Int) throws {
    let weights = try InvarianceTests.weights(.llama)
    let prompt = TinyModel.prompt(200, seed: 9)
    let expected = try InvarianceTests.logits(weights, prompt, chunk: 200)
    let session = try ModelSession(weights)
    let (given, index) = (session.add(TinyModel.prompt(250, seed: 10)), session.add(prompt))
    func giveUp() throws {
      session.sequences[given].stored = 0
      try session.begin(given, 250)
      for _ in 0..<pieces { #expect(try session.advance() == nil) }
    }
    try giveUp()
    #expect(try session.step([index: 200])[index] == expected)
    try giveUp()
    session.sequences[index].stored = 0
    try session.begin(index, 200)
    var logits: [Float]?
    while logits == nil { logits = try session.advance() }
    #expect(logits == expected)
  }
}
