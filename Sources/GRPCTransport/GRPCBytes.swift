import CgRPC
import GRPCCore

/// The bytes of one message, in one or several regions, shared with the library without copying.
///
/// A value may be sent several times and from several threads. Memory that was lent stays in use until its release
/// callback has run, which is later than the send's completion.
public struct GRPCBytes: GRPCContiguousBytes, Sendable {
  /// A part of a message to send.
  public enum Piece {
    /// Bytes copied into the message.
    case copied([UInt8])
    /// Memory that stays the caller's and must not change until `onRelease` is called, once, on any thread.
    case lent(UnsafeRawBufferPointer, onRelease: @Sendable () -> Void)
  }

  private(set) var storage: ByteStorage

  init(_ storage: ByteStorage) { self.storage = storage }

  public init(repeating byte: UInt8, count: Int) {
    storage = ByteStorage(allocating: count)
    storage.mutableBytes.initializeMemory(as: UInt8.self, repeating: byte)
  }

  public init<Bytes: Sequence>(_ sequence: Bytes) where Bytes.Element == UInt8 {
    let copied = sequence.withContiguousStorageIfAvailable { ByteStorage(copying: UnsafeRawBufferPointer($0)) }
    storage = copied ?? Array(sequence).withUnsafeBytes { ByteStorage(copying: $0) }
  }

  /// One message made of pieces in order. Lent pieces are sent from where they lie.
  public init(pieces: [Piece]) {
    var slices: [grpc_slice] = []
    slices.reserveCapacity(pieces.count)
    for piece in pieces {
      switch piece {
      case .copied(let bytes):
        guard !bytes.isEmpty else { continue }
        slices.append(bytes.withUnsafeBytes { grpc_slice(copying: $0) })
      case .lent(let bytes, let onRelease):
        guard let start = bytes.baseAddress, !bytes.isEmpty else {
          onRelease()
          continue
        }
        let loan = Unmanaged.passRetained(Loan(onRelease))
        slices.append(
          grpc_slice_new_with_user_data(
            UnsafeMutableRawPointer(mutating: start), bytes.count,
            { loan in
              guard let loan else { return }
              Unmanaged<Loan>.fromOpaque(loan).takeRetainedValue().onRelease()
            }, loan.toOpaque()))
      }
    }
    storage = ByteStorage(adopting: slices)
  }

  /// One message that is lent memory as a whole.
  public init(lending bytes: UnsafeRawBufferPointer, onRelease: @escaping @Sendable () -> Void) {
    self.init(pieces: [.lent(bytes, onRelease: onRelease)])
  }

  public var count: Int { storage.count }

  /// Calls `body` with all bytes in one piece. A message received in several regions is copied into one, once.
  public func withUnsafeBytes<Result>(_ body: (UnsafeRawBufferPointer) throws -> Result) rethrows -> Result {
    try withExtendedLifetime(storage) { try body(storage.contiguousBytes()) }
  }

  public mutating func withUnsafeMutableBytes<Result>(
    _ body: (UnsafeMutableRawBufferPointer) throws -> Result
  ) rethrows -> Result {
    if !storage.isWritable || !isKnownUniquelyReferenced(&storage) {
      storage = ByteStorage(copying: storage.contiguousBytes())
    }
    return try withExtendedLifetime(storage) { try body(storage.mutableBytes) }
  }

  /// Calls `body` with each region in order, without copying. Regions are valid during the call only.
  public func forEachRegion(_ body: (UnsafeRawBufferPointer) throws -> Void) rethrows {
    try withExtendedLifetime(storage) {
      for index in storage.slices.indices {
        let region = storage.region(index)
        if !region.isEmpty { try body(region) }
      }
    }
  }

  /// Fills `target` with the bytes from `offset` on, straight from the regions. The range must lie in the message.
  public func copyBytes(from offset: Int, into target: UnsafeMutableRawBufferPointer) {
    withExtendedLifetime(storage) { storage.copyBytes(from: offset, into: target) }
  }

  private final class Loan: Sendable {
    let onRelease: @Sendable () -> Void
    init(_ onRelease: @escaping @Sendable () -> Void) { self.onRelease = onRelease }
  }
}
