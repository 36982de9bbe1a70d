import CKernels
import Glibc

/// The rotations of one base: cosines and sines of a slab's positions.
///
/// A position is a multiple of `span` and a rest. Their rotations are tabled in double precision; the sum of the two angles
/// then costs four products instead of a sine and a cosine.
struct RotaryTable {
  private typealias Rotation = SIMD2<Double>

  private static let span = 64
  private let pairs: Int
  /// Cosine and sine for the rests, `[rest][pair]`, and for the multiples.
  private let rests: [Rotation]
  private let multiples: [Rotation]

  /// `scale` divides positions; `factors`, if any, divide each frequency.
  init(base: Float, scale: Float, headSize: Int, contextLength: Int, factors: UnsafePointer<Float>?) {
    let frequencies = (0..<headSize / 2).map { index in
      pow(Double(base), -2 * Double(index) / Double(headSize)) / Double(scale) / Double(factors?[index] ?? 1)
    }
    func table(_ count: Int, step: Int) -> [Rotation] {
      (0..<count).flatMap { index in
        frequencies.map { Rotation(cos(Double(index * step) * $0), sin(Double(index * step) * $0)) }
      }
    }
    pairs = frequencies.count
    rests = table(Self.span, step: 1)
    multiples = table((contextLength - 1) / Self.span + 1, step: Self.span)
  }

  var byteCount: Int { (rests.count + multiples.count) * MemoryLayout<Rotation>.stride }

  /// Of both tables of a model.
  static func byteCount(_ model: ModelConfiguration, contextLength: Int) -> Int {
    byteCount(headSize: model.headSize, contextLength: contextLength)
      + byteCount(headSize: model.headSize, contextLength: model.slidingWindow == nil ? 1 : contextLength)
  }

  private static func byteCount(headSize: Int, contextLength: Int) -> Int {
    (span + (contextLength - 1) / span + 1) * (headSize / 2) * MemoryLayout<Rotation>.stride
  }

  /// Writes `[rows, headSize / 2]` each; positions are below the context's length.
  func fill(
    _ positions: UnsafePointer<Int32>, rows: Int, cosines: UnsafeMutablePointer<Float>,
    sines: UnsafeMutablePointer<Float>
  ) {
    rests.withUnsafeBufferPointer { rests in
      multiples.withUnsafeBufferPointer { multiples in
        for row in 0..<rows {
          let (multiple, rest) = Int(positions[row]).quotientAndRemainder(dividingBy: Self.span)
          for pair in 0..<pairs {
            let a = multiples[multiple * pairs + pair]
            let b = rests[rest * pairs + pair]
            cosines[row * pairs + pair] = Float(a.x * b.x - a.y * b.y)
            sines[row * pairs + pair] = Float(a.y * b.x + a.x * b.y)
          }
        }
      }
    }
  }
}
