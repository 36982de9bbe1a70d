import CgRPC

/// Where the library writes what a call receives. Lives on the heap, at a fixed place, as long as the call.
struct CallMemory {
  var initialMetadata = grpc_metadata_array()
  var trailingMetadata = grpc_metadata_array()
  var message: UnsafeMutablePointer<grpc_byte_buffer>?
  /// One that was offered in vain.
  var refusedMessage: GRPCBytes?
  var status = GRPC_STATUS_UNKNOWN
  var details = grpc_empty_slice()
  var cancelled: Int32 = 0
}

extension UnsafeMutablePointer<CallMemory> {
  /// The address of a field. The address of `pointee.field` would be that of a temporary.
  func address<Field>(of field: KeyPath<CallMemory, Field>) -> UnsafeMutablePointer<Field> {
    guard let offset = MemoryLayout<CallMemory>.offset(of: field) else { preconditionFailure("a stored field") }
    return (UnsafeMutableRawPointer(self) + offset).assumingMemoryBound(to: Field.self)
  }

  static func create() -> UnsafeMutablePointer<CallMemory> {
    let memory = UnsafeMutablePointer<CallMemory>.allocate(capacity: 1)
    memory.initialize(to: CallMemory())
    return memory
  }

  func destroy() {
    grpc_metadata_array_destroy(address(of: \.initialMetadata))
    grpc_metadata_array_destroy(address(of: \.trailingMetadata))
    grpc_slice_unref(pointee.details)
    if let message = pointee.message { grpc_byte_buffer_destroy(message) }
    deinitialize(count: 1)
    deallocate()
  }
}
