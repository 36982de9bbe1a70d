/// What a completed operation is reported to.
///
/// The library returns an opaque tag with each completed operation. A tag here is one retained reference to the target
/// with the operation's number in its low bits, which an object's alignment leaves free: the target, and the memory
/// that the library writes into, live until then without a further allocation per operation.
class CompletionTarget {
  static var numberMask: UInt { 0xF }

  /// Called on the queue's thread, once for each tag.
  func complete(number: UInt, succeeded: Bool) {}

  /// Retains the target until the tag is consumed.
  final func makeTag(_ number: UInt) -> UnsafeMutableRawPointer {
    precondition(number <= Self.numberMask, "an operation's number has four bits")
    return Unmanaged.passRetained(self).toOpaque() + Int(number)
  }

  /// Gives back a tag that the library refused.
  final func discardTag() {
    Unmanaged.passUnretained(self).release()
  }

  /// Reports the completion and gives back the tag's reference.
  static func consume(tag: UnsafeMutableRawPointer, succeeded: Bool) {
    let number = UInt(bitPattern: tag) & numberMask
    let target = Unmanaged<CompletionTarget>.fromOpaque(tag - Int(number)).takeRetainedValue()
    target.complete(number: number, succeeded: succeeded)
  }
}
