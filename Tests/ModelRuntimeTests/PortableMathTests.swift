import Foundation
import ModelRuntime
import ServingTestKit
import Testing

@Suite struct PortableMathTests {
  @Test func agreesWithTheLibrary() {
    var random = SplitMix64(seed: 4)
    for _ in 0..<20_000 {
      let x = Double.random(in: -699...699, using: &random)
      #expect(abs(PortableMath.exp(x) / Foundation.exp(x) - 1) < 1e-13)
      let small = Double.random(in: -1...1, using: &random)
      #expect(abs(PortableMath.exp(small) / Foundation.exp(small) - 1) < 1e-15)
      let positive = Foundation.exp(Double.random(in: -600...600, using: &random))
      #expect(
        abs(PortableMath.log(positive) - Foundation.log(positive)) <= 1e-15 * max(1, abs(Foundation.log(positive))))
      let nearOne = 1 + Double.random(in: -0.3...0.3, using: &random)
      #expect(abs(PortableMath.log(nearOne) - Foundation.log(nearOne)) < 1e-15)
    }
  }

  @Test func knowsTheEdges() {
    #expect(PortableMath.exp(0) == 1)
    #expect(PortableMath.exp(-1e9) == 0)
    #expect(PortableMath.exp(-.infinity) == 0)
    #expect(PortableMath.exp(1e9) == .infinity)
    #expect(PortableMath.log(1) == 0)
    #expect(abs(PortableMath.log(0x1p-54) + 54 * PortableMath.ln2) < 1e-13)
  }
}
