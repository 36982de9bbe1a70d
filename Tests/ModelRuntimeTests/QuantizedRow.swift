import CKernels

/// One token's activations as a kernel quantises them, read back from its lane of the panels.
struct QuantizedRow {
  struct Scale {
    var d: Float
    var sum: Float
    var low: Int32
    var high: Int32
  }

  var codes: [Int8] = []
  var scales: [Scale] = []
  var outlier = k_outlier()
  /// Whether the other lanes still hold what they held.
  var leavesOtherLanes = true

  init(_ kernels: k_kernels, _ x: [Float], lane: Int = 5, takesOutlier: Bool = true) {
    let stale = [UInt8](repeating: 0x5a, count: MemoryLayout<k_panel>.stride)
    var panels = [k_panel](
      repeating: stale.withUnsafeBytes { $0.loadUnaligned(as: k_panel.self) }, count: x.count / 32)
    if takesOutlier {
      kernels.quantize(x, x.count, &panels, lane, &outlier)
    } else {
      kernels.quantize(x, x.count, &panels, lane, nil)
    }
    for panel in panels {
      withUnsafeBytes(of: panel) { bytes in
        // After the codes follow rows of numbers, one for each lane.
        let numbers = MemoryLayout.size(ofValue: panel.codes)
        let lanes = Int(K_PANEL_TOKENS)
        codes += bytes[32 * lane..<32 * lane + 32].map { Int8(bitPattern: $0) }
        func number<Number: BitwiseCopyable>(_ index: Int, _ type: Number.Type) -> Number {
          bytes.load(fromByteOffset: numbers + 4 * (index * lanes + lane), as: type)
        }
        scales.append(
          Scale(
            d: number(0, Float.self), sum: number(1, Float.self), low: number(2, Int32.self),
            high: number(3, Int32.self)))
        for index in bytes.indices {
          let itsLane = index < numbers ? index / 32 : (index - numbers) / 4 % lanes
          if itsLane != lane, bytes[index] != 0x5a { leavesOtherLanes = false }
        }
      }
    }
  }
}
