#pragma once
// First: gRPC defines _GNU_SOURCE, and fd_set must look the same in every module map.
#include <features.h>
#include <grpc/byte_buffer.h>
#include <grpc/byte_buffer_reader.h>
#include <grpc/grpc.h>
#include <grpc/grpc_security.h>
#include <grpc/slice.h>
#include <grpc/support/alloc.h>
#include <grpc/support/log.h>
#include <grpc/support/time.h>

// Function-like macros are not imported into Swift.
static inline const uint8_t *cgrpc_slice_start(const grpc_slice *slice) { return GRPC_SLICE_START_PTR(*slice); }
static inline size_t cgrpc_slice_length(const grpc_slice *slice) { return GRPC_SLICE_LENGTH(*slice); }

// Exported by the library but declared in none of its headers; weak, so that a library without it still loads.
extern int cgrpc_trailers_only_symbol(const grpc_call *call)
    __asm__("_Z26grpc_call_is_trailers_onlyPK9grpc_call") __attribute__((weak));

// 1 when the server sent nothing but a status, 0 when it sent more, -1 when the library cannot tell.
static inline int cgrpc_call_is_trailers_only(const grpc_call *call) {
  return cgrpc_trailers_only_symbol ? cgrpc_trailers_only_symbol(call) : -1;
}

// The C library's, which declares it under _GNU_SOURCE only.
extern int cgrpc_name_thread(unsigned long thread, const char *name) __asm__("pthread_setname_np");
