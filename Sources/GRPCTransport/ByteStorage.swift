import CgRPC
import Glibc
import ServingTypes
import Synchronization

/// The reference-counted slices behind a `GRPCBytes`.
///
/// Slices lie either in memory allocated here or in a byte buffer that the library handed over.
final class ByteStorage: @unchecked Sendable {  // safe: only a unique owner writes its bytes
  let slices: UnsafeMutableBufferPointer<grpc_slice>
  let count: Int
  private let received: UnsafeMutablePointer<grpc_byte_buffer>?
  /// One slice allocated here, whose bytes may be written while nobody else holds it.
  private let ownsBytes: Bool
  private let wasSent = Atomic(false)
  /// All bytes in one piece, made when first asked for; absent where they are one piece already.
  private let flattened: Lock<ByteStorage?>?

  /// Uninitialised bytes.
  init(allocating count: Int) {
    slices = .allocate(capacity: 1)
    slices.initializeElement(at: 0, to: grpc_slice_malloc(count))
    self.count = count
    received = nil
    ownsBytes = true
    flattened = nil
  }

  convenience init(copying bytes: UnsafeRawBufferPointer) {
    self.init(allocating: bytes.count)
    if let source = bytes.baseAddress, let target = mutableBytes.baseAddress {
      memcpy(target, source, bytes.count)
    }
  }

  /// Takes over one reference to each slice.
  init(adopting list: [grpc_slice]) {
    slices = .allocate(capacity: max(list.count, 1))
    for (index, slice) in list.enumerated() { slices.initializeElement(at: index, to: slice) }
    if list.isEmpty { slices.initializeElement(at: 0, to: grpc_empty_slice()) }
    var total = 0
    for index in slices.indices { total += cgrpc_slice_length(slices.baseAddress! + index) }
    count = total
    received = nil
    ownsBytes = false
    flattened = slices.count > 1 ? Lock(nil) : nil
  }

  /// Takes over a received buffer.
  init(received buffer: UnsafeMutablePointer<grpc_byte_buffer>) {
    received = buffer
    slices = UnsafeMutableBufferPointer(
      start: buffer.pointee.data.raw.slice_buffer.slices, count: buffer.pointee.data.raw.slice_buffer.count)
    count = buffer.pointee.data.raw.slice_buffer.length
    ownsBytes = false
    flattened = slices.count > 1 ? Lock(nil) : nil
  }

  deinit {
    if let received {
      grpc_byte_buffer_destroy(received)
    } else {
      for slice in slices { grpc_slice_unref(slice) }
      slices.deallocate()
    }
  }

  /// Whether the bytes may be written in place, given a unique reference to this object.
  var isWritable: Bool { ownsBytes && !wasSent.load(ordering: .acquiring) }

  /// Only for a writable storage.
  var mutableBytes: UnsafeMutableRawBufferPointer {
    UnsafeMutableRawBufferPointer(mutating: region(0))
  }

  func region(_ index: Int) -> UnsafeRawBufferPointer {
    guard let slice = slices.baseAddress.map({ $0 + index }) else {
      return UnsafeRawBufferPointer(start: nil, count: 0)
    }
    return UnsafeRawBufferPointer(start: cgrpc_slice_start(slice), count: cgrpc_slice_length(slice))
  }

  /// All bytes in one piece, valid while this object lives; copies once where they lie in several.
  func contiguousBytes() -> UnsafeRawBufferPointer {
    guard let flattened else {
      return slices.isEmpty ? UnsafeRawBufferPointer(start: nil, count: 0) : region(0)
    }
    let flat = flattened.withLock { cached -> ByteStorage in
      if let cached { return cached }
      let flat = ByteStorage(allocating: count)
      copyBytes(from: 0, into: flat.mutableBytes)
      cached = flat
      return flat
    }
    return flat.region(0)
  }

  /// Fills `target` with the bytes from `offset` on, region by region.
  func copyBytes(from offset: Int, into target: UnsafeMutableRawBufferPointer) {
    precondition(offset >= 0 && offset + target.count <= count, "the range is outside the message")
    var skip = offset
    var filled = 0
    for index in slices.indices where filled < target.count {
      let bytes = region(index)
      if skip >= bytes.count {
        skip -= bytes.count
        continue
      }
      let length = min(bytes.count - skip, target.count - filled)
      memcpy(target.baseAddress! + filled, bytes.baseAddress! + skip, length)
      filled += length
      skip = 0
    }
  }

  /// A buffer that shares the slices, for one send; the caller destroys it.
  func makeByteBuffer() -> UnsafeMutablePointer<grpc_byte_buffer> {
    wasSent.store(true, ordering: .releasing)
    return grpc_raw_byte_buffer_create(slices.baseAddress, slices.count)
  }
}
