import ServingTypes
import Testing

@Suite struct BlockHashTests {
  @Test func chainCoversEverythingBefore() {
    let tokens = (0..<40).map { TokenID($0) }
    var changed = tokens
    changed[3] = 99
    let first = BlockHash.chain(tokens: tokens, blockSize: 16, salt: "")
    let second = BlockHash.chain(tokens: changed, blockSize: 16, salt: "")
    #expect(first.count == 2)
    #expect(first[0] != second[0] && first[1] != second[1])
  }

  @Test func rootCoversSaltAndBlockSize() {
    let tokens = (0..<16).map { TokenID($0) }
    let plain = BlockHash.chain(tokens: tokens, blockSize: 16, salt: "")
    #expect(plain != BlockHash.chain(tokens: tokens, blockSize: 16, salt: "tenant"))
    #expect(plain[0] != BlockHash.chain(tokens: tokens, blockSize: 8, salt: "")[0])
  }

  @Test func bytesRoundTrip() {
    let hash = BlockHash.root(salt: "x", blockSize: 16)
    #expect(BlockHash(bytes: hash.bytes) == hash)
    #expect(BlockHash(bytes: hash.bytes.dropLast()) == nil)
    #expect(hash.description.count == 32)
  }
}
