import ServingTypes
import Testing

struct KVLayoutTests {
  static func layout(_ dtype: KVDType, blockSize: Int = 16, headSize: Int = 64) -> KVLayout {
    let group = KVGroup(layers: 0..<30, kvHeads: 3, headSize: headSize, dtype: dtype)
    return KVLayout(modelFingerprint: "model", blockSize: blockSize, numerics: "fast", groups: [group])
  }

  @Test func blockBytes() {
    let elements = 30 * 2 * 3 * 16 * 64
    #expect(Self.layout(.f32).blockBytes() == 4 * elements)
    #expect(Self.layout(.f16).blockBytes() == 2 * elements)
    #expect(Self.layout(.bf16).blockBytes() == 2 * elements)
    // A half for each token, head and layer of the keys and of the values.
    for dtype in [KVDType.fp8, .int8] {
      #expect(Self.layout(dtype).blockBytes() == elements + 2 * elements / 64)
      for headSize in [64, 80, 128, 256] {
        let ratio =
          Double(Self.layout(dtype, headSize: headSize).blockBytes())
          / Double(Self.layout(.f16, headSize: headSize).blockBytes())
        #expect(ratio <= 0.54)
      }
    }
  }

  @Test func typesNeverShareBlocks() {
    #expect(Set(KVDType.allCases.map { Self.layout($0).digest }).count == KVDType.allCases.count)
  }
}
