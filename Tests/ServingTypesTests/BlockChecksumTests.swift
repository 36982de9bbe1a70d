import CKernels
import ServingTypes
import Testing

@Suite struct BlockChecksumTests {
  @Test func knownVector() {
    // RFC 3720, appendix B.4, and the customary check value.
    #expect(Array("123456789".utf8).withUnsafeBytes { blockChecksum($0) } == 0xE306_9283)
    #expect([UInt8](repeating: 0, count: 32).withUnsafeBytes { blockChecksum($0) } == 0x8A91_36AA)
  }

  @Test func fastPathEqualsPortable() {
    var generator = SystemRandomNumberGenerator()
    for count in [0, 1, 7, 8, 9, 63, 64, 1000, 4099, 12_287, 12_288, 12_289, 40_001, 368_640] {
      let bytes = (0..<count).map { _ in UInt8.random(in: 0...255, using: &generator) }
      bytes.withUnsafeBytes { raw in
        #expect(k_crc32c(0, raw.baseAddress, raw.count) == k_crc32c_portable(0, raw.baseAddress, raw.count))
      }
    }
  }
}
