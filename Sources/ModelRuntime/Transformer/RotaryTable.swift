import CKernels
import Glibc

/// The rotations of one base: frequencies, and the cosines and sines of a slab's positions.
struct RotaryTable {
  private let frequencies: [Double]

  /// `scale` divides positions; `factors`, if any, divide each frequency.
  init(base: Float, scale: Float, headSize: Int, factors: UnsafePointer<Float>?) {
    frequencies = (0..<headSize / 2).map { index in
      pow(Double(base), -2 * Double(index) / Double(headSize)) / Double(scale) / Double(factors?[index] ?? 1)
    }
  }

  /// Writes `[rows, headSize / 2]` each, computed in double precision.
  func fill(
    _ positions: UnsafePointer<Int32>, rows: Int, cosines: UnsafeMutablePointer<Float>,
    sines: UnsafeMutablePointer<Float>
  ) {
    for row in 0..<rows {
      let position = Double(positions[row])
      for (index, frequency) in frequencies.enumerated() {
        cosines[row * frequencies.count + index] = Float(cos(position * frequency))
        sines[row * frequencies.count + index] = Float(sin(position * frequency))
      }
    }
  }
}
