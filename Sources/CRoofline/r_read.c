#include "CRoofline.h"

#if defined(__linux__)
#include <sys/mman.h>
#endif

typedef uint64_t lanes __attribute__((vector_size(64), may_alias));

// Built once for each width: the vector of 64 bytes becomes as many registers as the target has.
#define R_READ_BODY                                                                                \
  const lanes *from = data;                                                                        \
  size_t count = bytes / sizeof(lanes) / streams;                                                  \
  lanes a = {0}, b = {0}, c = {0}, d = {0};                                                        \
  if (streams == 4) {                                                                              \
    for (size_t i = 0; i < count; i++) {                                                           \
      a ^= from[i];                                                                                \
      b ^= from[count + i];                                                                        \
      c ^= from[2 * count + i];                                                                    \
      d ^= from[3 * count + i];                                                                    \
    }                                                                                              \
  } else if (streams == 2) {                                                                       \
    for (size_t i = 0; i < count; i += 2) {                                                        \
      a ^= from[i];                                                                                \
      b ^= from[count + i];                                                                        \
      c ^= from[i + 1];                                                                            \
      d ^= from[count + i + 1];                                                                    \
    }                                                                                              \
  } else {                                                                                         \
    for (size_t i = 0; i < count; i += 4) {                                                        \
      a ^= from[i];                                                                                \
      b ^= from[i + 1];                                                                            \
      c ^= from[i + 2];                                                                            \
      d ^= from[i + 3];                                                                            \
    }                                                                                              \
  }                                                                                                \
  a ^= b ^ c ^ d;                                                                                  \
  uint64_t folded = 0;                                                                             \
  for (int i = 0; i < 8; i++) folded ^= a[i];                                                      \
  return folded;

#if defined(__x86_64__)
__attribute__((target("avx512f"), noinline)) static uint64_t read_avx512(
    const void *data, size_t bytes, uint32_t streams) {
  R_READ_BODY
}

__attribute__((target("avx2"), noinline)) static uint64_t read_avx2(
    const void *data, size_t bytes, uint32_t streams) {
  R_READ_BODY
}
#endif

static uint64_t read_portable(const void *data, size_t bytes, uint32_t streams) { R_READ_BODY }

uint64_t r_read(const void *data, size_t bytes, uint32_t streams) {
  if (streams != 2 && streams != 4) streams = 1;
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f")) return read_avx512(data, bytes, streams);
  if (__builtin_cpu_supports("avx2")) return read_avx2(data, bytes, streams);
#endif
  return read_portable(data, bytes, streams);
}

void r_prefer_large_pages(void *data, size_t bytes) {
#if defined(__linux__)
  (void)madvise(data, bytes, MADV_HUGEPAGE);
#else
  (void)data;
  (void)bytes;
#endif
}
