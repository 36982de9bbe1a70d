import GRPCCore
import GRPCTransport
import ServingTypes
import Testing

struct GRPCBytesTests {
  @Test func valuesAreIndependentOfEachOther() {
    var first = GRPCBytes([1, 2, 3] as [UInt8])
    let second = first
    first.withUnsafeMutableBytes { $0[0] = 9 }
    #expect(first.withUnsafeBytes { Array($0) } == [9, 2, 3])
    #expect(second.withUnsafeBytes { Array($0) } == [1, 2, 3])
    #expect(GRPCBytes(repeating: 5, count: 1000).withUnsafeBytes { Array($0) } == [UInt8](repeating: 5, count: 1000))
    #expect(GRPCBytes([UInt8]()).count == 0)
    #expect(GRPCBytes(stride(from: UInt8(1), to: 4, by: 1)).withUnsafeBytes { Array($0) } == [1, 2, 3])
  }

  @Test func lentMemoryIsReleasedOnceAndNotCopied() {
    let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 4096, alignment: 64)
    defer { memory.deallocate() }
    memory.initializeMemory(as: UInt8.self, repeating: 7)
    let releases = Lock(0)
    do {
      let bytes = GRPCBytes(pieces: [
        .copied([1, 2]), .lent(UnsafeRawBufferPointer(memory), onRelease: { releases.withLock { $0 += 1 } }),
        .copied([]), .copied([3]),
      ])
      #expect(bytes.count == 4099)
      var regions: [UnsafeRawBufferPointer] = []
      bytes.forEachRegion { regions.append($0) }
      #expect(regions.map(\.count) == [2, 4096, 1])
      #expect(regions[1].baseAddress == UnsafeRawPointer(memory.baseAddress))
      #expect(bytes.withUnsafeBytes { Array($0) } == [1, 2] + [UInt8](repeating: 7, count: 4096) + [3])
      #expect(releases.withLock { $0 } == 0)
    }
    #expect(releases.withLock { $0 } == 1)
    _ = GRPCBytes(lending: UnsafeRawBufferPointer(start: nil, count: 0)) { releases.withLock { $0 += 1 } }
    #expect(releases.withLock { $0 } == 2)
  }

  @Test func anyRangeCanBeCopiedOutOfRegions() {
    let all = [UInt8].pattern(300, seed: 1)
    let bytes = GRPCBytes(pieces: [.copied(Array(all[..<100])), .copied(Array(all[100..<150])), .copied(Array(all[150...]))])
    for start in stride(from: 0, through: 300, by: 7) {
      for end in stride(from: start, through: 300, by: 13) {
        var target = [UInt8](repeating: 0, count: end - start)
        target.withUnsafeMutableBytes { bytes.copyBytes(from: start, into: $0) }
        #expect(target == Array(all[start..<end]))
      }
    }
  }

  @Test func otherTransportsGetCopies() {
    let releases = Lock(0)
    let memory: [UInt8] = [4, 5, 6]
    let bytes: [UInt8] = memory.withUnsafeBytes { buffer in
      .assemble([.copied([1]), .lent(buffer, onRelease: { releases.withLock { $0 += 1 } })])
    }
    #expect(bytes == [1, 4, 5, 6])
    #expect(releases.withLock { $0 } == 1)
    var target = [UInt8](repeating: 0, count: 2)
    target.withUnsafeMutableBytes { bytes.copyMessageBytes(from: 1, into: $0) }
    #expect(target == [4, 5])
  }
}
