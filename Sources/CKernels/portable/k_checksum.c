#include "k_checksum.h"

#if defined(__x86_64__)
#include <nmmintrin.h>
#include <wmmintrin.h>
#endif
#include <string.h>

// Reflected polynomial of CRC-32C, one nibble at a time: small, and only the fallback.
static const uint32_t nibble_table[16] = {
    0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3, 0x61c69362, 0x7198540d,
    0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9, 0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75,
};

uint32_t k_crc32c_portable(uint32_t crc, const void *data, size_t size) {
  const uint8_t *bytes = data;
  crc = ~crc;
  for (size_t i = 0; i < size; i++) {
    crc ^= bytes[i];
    crc = (crc >> 4) ^ nibble_table[crc & 15];
    crc = (crc >> 4) ^ nibble_table[crc & 15];
  }
  return ~crc;
}

#if defined(__x86_64__)
// One instruction takes 8 bytes and three cycles, and a new one can begin in each cycle: three lanes at once. A lane's
// bytes count for the ones behind it as a multiplication by x^(8 * bytes) modulo the polynomial. The product of two reflected
// 32-bit polynomials lies one bit low, and crc32 multiplies by x^32: hence x^(8 * bytes - 33).
enum { lane_bytes = 4096 };
static const uint64_t shift_one_lane = 0x82f89c77;
static const uint64_t shift_two_lanes = 0x54a86326;

__attribute__((target("sse4.2,pclmul"))) static inline uint64_t shifted(uint64_t crc, uint64_t power) {
  __m128i product = _mm_clmulepi64_si128(_mm_cvtsi64_si128((int64_t)crc), _mm_cvtsi64_si128((int64_t)power), 0);
  return _mm_crc32_u64(0, (uint64_t)_mm_cvtsi128_si64(product));
}

__attribute__((target("sse4.2,pclmul"))) static uint64_t crc32c_lanes(uint64_t state, const uint8_t *bytes) {
  uint64_t second = 0;
  uint64_t third = 0;
  for (size_t i = 0; i < lane_bytes; i += 8) {
    uint64_t words[3];
    memcpy(&words[0], bytes + i, 8);
    memcpy(&words[1], bytes + lane_bytes + i, 8);
    memcpy(&words[2], bytes + 2 * lane_bytes + i, 8);
    state = _mm_crc32_u64(state, words[0]);
    second = _mm_crc32_u64(second, words[1]);
    third = _mm_crc32_u64(third, words[2]);
  }
  return shifted(state, shift_two_lanes) ^ shifted(second, shift_one_lane) ^ third;
}

__attribute__((target("sse4.2"))) static uint32_t crc32c_sse42(uint32_t crc, const void *data, size_t size) {
  const uint8_t *bytes = data;
  uint64_t state = (uint32_t)~crc;
  if (__builtin_cpu_supports("pclmul")) {
    for (; size >= 3 * lane_bytes; bytes += 3 * lane_bytes, size -= 3 * lane_bytes) {
      state = crc32c_lanes(state, bytes);
    }
  }
  while (size >= 8) {
    uint64_t word;
    memcpy(&word, bytes, 8);
    state = _mm_crc32_u64(state, word);
    bytes += 8;
    size -= 8;
  }
  uint32_t tail = (uint32_t)state;
  while (size-- > 0) tail = _mm_crc32_u8(tail, *bytes++);
  return ~tail;
}
#endif

uint32_t k_crc32c(uint32_t crc, const void *data, size_t size) {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("sse4.2")) return crc32c_sse42(crc, data, size);
#endif
  return k_crc32c_portable(crc, data, size);
}
