#pragma once
#include "k_types.h"

/// The codes and scales of 32 weights of a quantised type: weight = d × (code − offset) + m, with d per 16 codes.
typedef struct {
  uint8_t codes[32];
  float d[2];
  float m;
  int32_t offset;
} k_codes;

/// Reads block `index` of 32 elements from a row of `type`, which is a quantised one.
void k_read_codes(k_type type, const uint8_t *row, size_t index, k_codes *out);

/// A super-block's scale and minimum of sub-block `j` of 8, 6 bits each, as Q4_K and Q5_K store them.
static inline void k_scale_and_minimum(const uint8_t *packed, size_t j, uint8_t *scale, uint8_t *minimum) {
  if (j < 4) {
    *scale = packed[j] & 63;
    *minimum = packed[j + 4] & 63;
  } else {
    *scale = (uint8_t)((packed[j + 4] & 15) | ((packed[j - 4] >> 6) << 4));
    *minimum = (uint8_t)((packed[j + 4] >> 4) | ((packed[j] >> 6) << 4));
  }
}

static inline uint16_t k_read_u16(const uint8_t *bytes) { return (uint16_t)(bytes[0] | bytes[1] << 8); }
