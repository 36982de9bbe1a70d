import Glibc
import ServingTypes

/// A GGUF file's bytes: a read-only mapping, or a copy of bytes in memory. They stay in place as long as it lives.
final class GGUFStorage: @unchecked Sendable {  // safe: the bytes are never written after `init`
  let bytes: UnsafeRawBufferPointer
  private let isMapped: Bool

  /// Maps the file. Another process that truncates it while it is mapped kills this one with SIGBUS.
  init(path: String) throws(ServingError) {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else {
      throw ServingError(
        errno == ENOENT ? .notFound : .permissionDenied, "\(path): cannot open it: \(String(cString: strerror(errno)))")
    }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
      throw ServingError(.invalidArgument, "\(path): is not a regular file")
    }
    guard status.st_size > 0 else { throw ServingError(.dataLoss, "\(path): the file is empty") }
    let size = Int(status.st_size)
    guard let base = mmap(nil, size, PROT_READ, MAP_PRIVATE, descriptor, 0), base != MAP_FAILED else {
      throw ServingError(
        .resourceExhausted, "\(path): cannot map \(size) bytes: \(String(cString: strerror(errno)))")
    }
    bytes = UnsafeRawBufferPointer(start: base, count: size)
    isMapped = true
  }

  /// Copies the bytes to memory aligned like a mapping's.
  init(copying source: UnsafeRawBufferPointer) {
    let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: source.count, alignment: 64)
    copy.copyMemory(from: source)
    bytes = UnsafeRawBufferPointer(copy)
    isMapped = false
  }

  /// Takes the whole pages of `part` out of this process's memory; they are read from the file again when they are touched.
  func release(_ part: UnsafeRawBufferPointer) {
    guard isMapped, let start = part.baseAddress else { return }
    let page = sysconf(Int32(_SC_PAGESIZE))
    let first = (UInt(bitPattern: start) + UInt(page) - 1) / UInt(page) * UInt(page)
    let end = (UInt(bitPattern: start) + UInt(part.count)) / UInt(page) * UInt(page)
    guard first < end else { return }
    madvise(UnsafeMutableRawPointer(bitPattern: first), Int(end - first), MADV_DONTNEED)
  }

  deinit {
    if isMapped {
      munmap(UnsafeMutableRawPointer(mutating: bytes.baseAddress), bytes.count)
    } else {
      bytes.deallocate()
    }
  }
}
