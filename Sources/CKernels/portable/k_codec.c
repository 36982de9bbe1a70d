#include "k_codec.h"

#include <string.h>

size_t k_type_block_elements(k_type type) {
  switch (type) {
    case K_TYPE_F32:
    case K_TYPE_F16:
    case K_TYPE_BF16: return 1;
    case K_TYPE_Q4_0:
    case K_TYPE_Q4_1:
    case K_TYPE_Q5_0:
    case K_TYPE_Q5_1:
    case K_TYPE_Q8_0: return 32;
    case K_TYPE_Q4_K:
    case K_TYPE_Q5_K:
    case K_TYPE_Q6_K: return 256;
  }
  return 0;
}

size_t k_type_block_bytes(k_type type) {
  switch (type) {
    case K_TYPE_F32: return 4;
    case K_TYPE_F16:
    case K_TYPE_BF16: return 2;
    case K_TYPE_Q4_0: return 18;
    case K_TYPE_Q4_1: return 20;
    case K_TYPE_Q5_0: return 22;
    case K_TYPE_Q5_1: return 24;
    case K_TYPE_Q8_0: return 34;
    case K_TYPE_Q4_K: return 144;
    case K_TYPE_Q5_K: return 176;
    case K_TYPE_Q6_K: return 210;
  }
  return 0;
}

float k_half_to_float(uint16_t half) {
  uint32_t sign = (uint32_t)(half & 0x8000) << 16;
  uint32_t exponent = (half >> 10) & 31;
  uint32_t mantissa = half & 1023;
  uint32_t bits;
  if (exponent == 31) {
    bits = sign | 0x7f800000 | mantissa << 13;
  } else if (exponent != 0) {
    bits = sign | (exponent + 112) << 23 | mantissa << 13;
  } else {
    // A subnormal half is an integer count of 2^-24, exact in a float.
    float magnitude = (float)mantissa * 0x1p-24f;
    memcpy(&bits, &magnitude, 4);
    bits |= sign;
  }
  float value;
  memcpy(&value, &bits, 4);
  return value;
}

uint16_t k_float_to_half(float value) {
  uint32_t bits;
  memcpy(&bits, &value, 4);
  uint16_t sign = (uint16_t)((bits >> 16) & 0x8000);
  uint32_t magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return (uint16_t)(sign | 0x7e00 | ((magnitude >> 13) & 0x3ff));
  if (magnitude >= 0x477ff000) return (uint16_t)(sign | 0x7c00);
  if (magnitude < 0x38800000) {
    // Adding 0.5 leaves the count of 2^-24 in the low mantissa bits, rounded to nearest even by the addition itself.
    float shifted;
    memcpy(&shifted, &magnitude, 4);
    shifted += 0.5f;
    uint32_t rounded;
    memcpy(&rounded, &shifted, 4);
    return (uint16_t)(sign | (rounded - 0x3f000000));
  }
  uint32_t odd = (magnitude >> 13) & 1;
  return (uint16_t)(sign | ((magnitude - 0x38000000 + 0xfff + odd) >> 13));
}

static void read_nibbles(const uint8_t *packed, uint8_t *codes) {
  for (size_t i = 0; i < 16; i++) {
    codes[i] = packed[i] & 15;
    codes[i + 16] = packed[i] >> 4;
  }
}

static void read_fifth_bits(const uint8_t *packed, uint8_t *codes) {
  uint32_t bits;
  memcpy(&bits, packed, 4);
  for (size_t i = 0; i < 32; i++) codes[i] |= (uint8_t)((bits >> i & 1) << 4);
}

static void read_simple(k_type type, const uint8_t *block, k_codes *out) {
  out->d[0] = out->d[1] = k_half_to_float(k_read_u16(block));
  out->m = 0;
  out->offset = 0;
  switch (type) {
    case K_TYPE_Q4_0:
      read_nibbles(block + 2, out->codes);
      out->offset = 8;
      break;
    case K_TYPE_Q4_1:
      read_nibbles(block + 4, out->codes);
      out->m = k_half_to_float(k_read_u16(block + 2));
      break;
    case K_TYPE_Q5_0:
      read_nibbles(block + 6, out->codes);
      read_fifth_bits(block + 2, out->codes);
      out->offset = 16;
      break;
    case K_TYPE_Q5_1:
      read_nibbles(block + 8, out->codes);
      read_fifth_bits(block + 4, out->codes);
      out->m = k_half_to_float(k_read_u16(block + 2));
      break;
    default:
      for (size_t i = 0; i < 32; i++) out->codes[i] = block[2 + i] ^ 0x80;
      out->offset = 128;
      break;
  }
}

static void read_scaled(k_type type, const uint8_t *block, size_t j, k_codes *out) {
  uint8_t scale, minimum;
  k_scale_and_minimum(block + 4, j, &scale, &minimum);
  out->d[0] = out->d[1] = k_half_to_float(k_read_u16(block)) * (float)scale;
  out->m = -(k_half_to_float(k_read_u16(block + 2)) * (float)minimum);
  out->offset = 0;
  const uint8_t *high = block + 16;
  const uint8_t *low = type == K_TYPE_Q5_K ? block + 48 : block + 16;
  low += j / 2 * 32;
  for (size_t i = 0; i < 32; i++) {
    out->codes[i] = j % 2 == 0 ? low[i] & 15 : low[i] >> 4;
    if (type == K_TYPE_Q5_K) out->codes[i] |= (uint8_t)((high[i] >> j & 1) << 4);
  }
}

static void read_six_bits(const uint8_t *block, size_t j, k_codes *out) {
  const uint8_t *low = block + j / 4 * 64 + j % 2 * 32;
  const uint8_t *high = block + 128 + j / 4 * 32;
  const int8_t *scales = (const int8_t *)block + 192 + 2 * j;
  float d = k_half_to_float(k_read_u16(block + 208));
  out->d[0] = d * (float)scales[0];
  out->d[1] = d * (float)scales[1];
  out->m = 0;
  out->offset = 32;
  for (size_t i = 0; i < 32; i++) {
    uint8_t nibble = j % 4 < 2 ? low[i] & 15 : low[i] >> 4;
    out->codes[i] = (uint8_t)(nibble | (high[i] >> (2 * (j % 4)) & 3) << 4);
  }
}

void k_read_codes(k_type type, const uint8_t *row, size_t index, k_codes *out) {
  switch (type) {
    case K_TYPE_Q4_K:
    case K_TYPE_Q5_K:
      read_scaled(type, row + index / 8 * k_type_block_bytes(type), index % 8, out);
      break;
    case K_TYPE_Q6_K:
      read_six_bits(row + index / 8 * k_type_block_bytes(type), index % 8, out);
      break;
    default:
      read_simple(type, row + index * k_type_block_bytes(type), out);
      break;
  }
}

void k_dequantize(k_type type, const void *source, size_t count, float *destination) {
  const uint8_t *bytes = source;
  switch (type) {
    case K_TYPE_F32:
      memcpy(destination, bytes, count * 4);
      return;
    case K_TYPE_F16:
      for (size_t i = 0; i < count; i++) destination[i] = k_half_to_float(k_read_u16(bytes + 2 * i));
      return;
    case K_TYPE_BF16:
      for (size_t i = 0; i < count; i++) {
        uint32_t bits = (uint32_t)k_read_u16(bytes + 2 * i) << 16;
        memcpy(&destination[i], &bits, 4);
      }
      return;
    default:
      break;
  }
  k_codes block;
  for (size_t b = 0; b < count / 32; b++) {
    k_read_codes(type, bytes, b, &block);
    for (size_t i = 0; i < 32; i++) {
      destination[32 * b + i] = block.d[i / 16] * (float)(block.codes[i] - block.offset) + block.m;
    }
  }
}
