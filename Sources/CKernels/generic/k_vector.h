// Sixteen float lanes, for whichever path includes this: one register, two, or plain arrays. The operations are exactly
// rounded ones in a fixed order, so that every path gives the same bits.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "k_types.h"

// The functions below are always inlined, so no vector crosses a call.
#pragma clang diagnostic ignored "-Wpsabi"

#define K_INLINE static inline __attribute__((always_inline, unused))

/// Brings the line at `at` up to the second cache, which waits for more lines at a time than the first does, and leaves
/// the first to the activations.
K_INLINE void prefetch_line(const uint8_t *at) { __builtin_prefetch(at, 0, 2); }

typedef float f32x16 __attribute__((ext_vector_type(16)));
typedef float f32x8 __attribute__((ext_vector_type(8)));
typedef float f32x4 __attribute__((ext_vector_type(4)));
typedef int32_t i32x16 __attribute__((ext_vector_type(16)));
typedef uint8_t u8x16 __attribute__((ext_vector_type(16)));
typedef int8_t i8x16 __attribute__((ext_vector_type(16)));
typedef uint16_t u16x16 __attribute__((ext_vector_type(16)));
typedef int16_t i16x16 __attribute__((ext_vector_type(16)));

K_INLINE f32x16 v_load(const float *from) {
  f32x16 value;
  memcpy(&value, from, sizeof value);
  return value;
}

K_INLINE void v_store(float *to, f32x16 value) { memcpy(to, &value, sizeof value); }

K_INLINE i32x16 v_load_i32(const void *from) {
  i32x16 value;
  memcpy(&value, from, sizeof value);
  return value;
}

K_INLINE f32x16 v_set(float value) { return (f32x16)value; }

K_INLINE f32x16 v_fma(f32x16 a, f32x16 b, f32x16 c) { return __builtin_elementwise_fma(a, b, c); }

/// Lanes of `yes` where the mask's lane is −1, of `no` where it is 0.
K_INLINE f32x16 v_select(i32x16 mask, f32x16 yes, f32x16 no) {
  i32x16 bits = (__builtin_bit_cast(i32x16, yes) & mask) | (__builtin_bit_cast(i32x16, no) & ~mask);
  return __builtin_bit_cast(f32x16, bits);
}

K_INLINE f32x16 v_max(f32x16 a, f32x16 b) { return a > b ? a : b; }

/// Magnitudes as integers of the same order, in which a NaN is above everything: unlike `v_max`, their largest shows it.
K_INLINE i32x16 v_magnitudes(f32x16 v) { return __builtin_bit_cast(i32x16, v) & 0x7fffffff; }

K_INLINE f32x16 v_from_i32(i32x16 value) { return __builtin_convertvector(value, f32x16); }

K_INLINE f32x16 v_from_i8(const void *from) {
  i8x16 value;
  memcpy(&value, from, sizeof value);
  return __builtin_convertvector(value, f32x16);
}

K_INLINE f32x16 v_from_u8(const void *from) {
  u8x16 value;
  memcpy(&value, from, sizeof value);
  return __builtin_convertvector(value, f32x16);
}

K_INLINE f32x16 v_load_half(const void *from) {
#if defined(K_PATH_IS_AVX512)
  return __builtin_bit_cast(f32x16, _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)from)));
#elif defined(K_PATH_IS_AVX2)
  f32x8 low = __builtin_bit_cast(f32x8, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)from)));
  f32x8 high = __builtin_bit_cast(f32x8, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)from + 1)));
  return __builtin_shufflevector(low, high, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
#else
  uint16_t halves[16];
  float values[16];
  memcpy(halves, from, sizeof halves);
  for (int i = 0; i < 16; i++) values[i] = k_half_to_float(halves[i]);
  return v_load(values);
#endif
}

K_INLINE void v_store_half(void *to, f32x16 value) {
#if defined(K_PATH_IS_AVX512)
  _mm256_storeu_si256((__m256i *)to, _mm512_cvtps_ph(__builtin_bit_cast(__m512, value), _MM_FROUND_TO_NEAREST_INT));
#elif defined(K_PATH_IS_AVX2)
  f32x8 low = __builtin_shufflevector(value, value, 0, 1, 2, 3, 4, 5, 6, 7);
  f32x8 high = __builtin_shufflevector(value, value, 8, 9, 10, 11, 12, 13, 14, 15);
  _mm_storeu_si128((__m128i *)to, _mm256_cvtps_ph(__builtin_bit_cast(__m256, low), _MM_FROUND_TO_NEAREST_INT));
  _mm_storeu_si128((__m128i *)to + 1, _mm256_cvtps_ph(__builtin_bit_cast(__m256, high), _MM_FROUND_TO_NEAREST_INT));
#else
  uint16_t halves[16];
  for (int i = 0; i < 16; i++) halves[i] = k_float_to_half(value[i]);
  memcpy(to, halves, sizeof halves);
#endif
}

K_INLINE f32x16 v_load_bf16(const void *from) {
  u16x16 value;
  memcpy(&value, from, sizeof value);
  return __builtin_bit_cast(f32x16, __builtin_convertvector(value, i32x16) << 16);
}

K_INLINE void v_store_bf16(void *to, f32x16 value) {
  i32x16 bits = __builtin_bit_cast(i32x16, value);
  i32x16 rounded = bits + 0x7fff + ((bits >> 16) & 1);
  u16x16 result = __builtin_convertvector(rounded >> 16, u16x16);
  memcpy(to, &result, sizeof result);
}

/// Codes of fp8 as `f32`, ÷ 2^8: the bits of a half with the same exponent, which is biased by 8 more.
K_INLINE f32x16 v_load_fp8(const void *from) {
  i8x16 codes;
  memcpy(&codes, from, sizeof codes);
  i16x16 halves = (__builtin_convertvector(codes, i16x16) << 7) & (int16_t)~0x4000;
  return v_load_half(&halves);
}

/// Rounds to fp8, to nearest even; what is above 448 becomes 448.
K_INLINE void v_store_fp8(void *to, f32x16 value) {
  const f32x16 magic = v_set(16384.0f);  // 2^14: adding it rounds to a multiple of 2^−9, which the low bits then count
  i32x16 sign = __builtin_bit_cast(i32x16, value) & INT32_MIN;
  f32x16 size = __builtin_bit_cast(f32x16, __builtin_bit_cast(i32x16, value) & INT32_MAX);
  size = size > v_set(448.0f) ? v_set(448.0f) : size;
  i32x16 bits = __builtin_bit_cast(i32x16, size);
  i32x16 normal = ((bits + 0x7ffff + ((bits >> 20) & 1)) >> 20) - (120 << 3);
  i32x16 subnormal = __builtin_bit_cast(i32x16, size + magic) - __builtin_bit_cast(i32x16, magic);
  i32x16 small = size < v_set(0.015625f);
  i32x16 code = (subnormal & small) | (normal & ~small) | ((sign >> 24) & 0x80);
  u8x16 narrow = __builtin_convertvector(code, u8x16);
  memcpy(to, &narrow, sizeof narrow);
}

/// Rounds to integers, to nearest even. Magnitudes are below 2^22.
K_INLINE i32x16 v_round(f32x16 value) {
  const float magic = 12582912.0f;  // 1.5 × 2^23: adding it rounds to an integer, which the low bits then hold
  return __builtin_bit_cast(i32x16, value + magic) - 0x4b400000;
}

/// Stores the lanes' low bytes.
K_INLINE void v_narrow(void *to, i32x16 value) {
  i8x16 narrow = __builtin_convertvector(value, i8x16);
  memcpy(to, &narrow, sizeof narrow);
}

/// Folds each of four vectors' lanes by `larger` or by adding; the results fill four lanes each.
K_INLINE i32x16 v_fold_each(bool larger, i32x16 a, i32x16 b, i32x16 c, i32x16 d) {
#define FOLD(x, y) (larger ? __builtin_elementwise_max(x, y) : (x) + (y))
#define LOW_HALVES 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23
#define HIGH_HALVES 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31
#define EVEN_QUARTERS 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27
#define ODD_QUARTERS 4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31
  i32x16 ab = FOLD(__builtin_shufflevector(a, b, LOW_HALVES), __builtin_shufflevector(a, b, HIGH_HALVES));
  i32x16 cd = FOLD(__builtin_shufflevector(c, d, LOW_HALVES), __builtin_shufflevector(c, d, HIGH_HALVES));
  i32x16 v = FOLD(__builtin_shufflevector(ab, cd, EVEN_QUARTERS), __builtin_shufflevector(ab, cd, ODD_QUARTERS));
  v = FOLD(v, __builtin_shufflevector(v, v, 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13));
  return FOLD(v, __builtin_shufflevector(v, v, 1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14));
#undef FOLD
#undef LOW_HALVES
#undef HIGH_HALVES
#undef EVEN_QUARTERS
#undef ODD_QUARTERS
}

/// Rounds to integers, to nearest even; what is beyond ±127 becomes ±127. Magnitudes are below 2^22.
K_INLINE void v_store_i8(void *to, f32x16 value) {
  i32x16 code = v_round(value);
  v_narrow(to, __builtin_elementwise_max(__builtin_elementwise_min(code, (i32x16)127), (i32x16)-127));
}

/// Folds the lanes in halves: 16, 8, 4, 2, 1.
K_INLINE float v_sum(f32x16 v) {
  f32x8 eight = __builtin_shufflevector(v, v, 0, 1, 2, 3, 4, 5, 6, 7)
                + __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15);
  f32x4 four = __builtin_shufflevector(eight, eight, 0, 1, 2, 3) + __builtin_shufflevector(eight, eight, 4, 5, 6, 7);
  return (four[0] + four[2]) + (four[1] + four[3]);
}

K_INLINE float v_largest(f32x16 v) {
  v = v_max(v, __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7));
  v = v_max(v, __builtin_shufflevector(v, v, 4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11));
  v = v_max(v, __builtin_shufflevector(v, v, 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13));
  v = v_max(v, __builtin_shufflevector(v, v, 1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14));
  return v[0];
}

/// e^x within 2 units in the last place; exactly 1 at 0, and 0 below −87.
/// Source: the range reduction and polynomial of Cephes' expf.
K_INLINE f32x16 v_exp(f32x16 x) {
  const float magic = 12582912.0f;  // 1.5 × 2^23: adding it rounds to an integer, which the low bits then hold
  i32x16 under = x < v_set(-87.0f);
  x = v_select(x > v_set(88.0f), v_set(88.0f), x);
  x = v_select(under, v_set(-87.0f), x);
  f32x16 shifted = v_fma(x, v_set(1.44269504f), v_set(magic));
  f32x16 n = shifted - magic;
  f32x16 r = v_fma(n, v_set(-0.693359375f), x);
  r = v_fma(n, v_set(2.12194440e-4f), r);
  f32x16 p = v_fma(v_set(1.9875691500e-4f), r, v_set(1.3981999507e-3f));
  p = v_fma(p, r, v_set(8.3334519073e-3f));
  p = v_fma(p, r, v_set(4.1665795894e-2f));
  p = v_fma(p, r, v_set(1.6666665459e-1f));
  p = v_fma(p, r, v_set(5.0000001201e-1f));
  f32x16 y = v_fma(p, r * r, r) + 1.0f;
  i32x16 scaled = __builtin_bit_cast(i32x16, y) + (__builtin_bit_cast(i32x16, shifted) << 23);
  return v_select(under, v_set(0.0f), __builtin_bit_cast(f32x16, scaled));
}

/// 2^x within 1 unit in the last place, exactly 1 at 0. Below −126 it stays at 2^−126; not for x above 127.
K_INLINE f32x16 v_exp2(f32x16 x) {
  const f32x16 least = v_set(-126.0f), magic = v_set(12582912.0f);  // as in v_exp
  x = least > x ? least : x;
  f32x16 shifted = x + magic;
  f32x16 r = x - (shifted - magic);
  f32x16 p = v_fma(v_set(1.5353362e-4f), r, v_set(1.3398874e-3f));
  p = v_fma(p, r, v_set(9.6184369e-3f));
  p = v_fma(p, r, v_set(5.5503324e-2f));
  p = v_fma(p, r, v_set(0.24022648f));
  p = v_fma(p, r, v_set(0.69314718f));
  p = v_fma(p, r, v_set(1.0f));
  return __builtin_bit_cast(f32x16, __builtin_bit_cast(i32x16, p) + (__builtin_bit_cast(i32x16, shifted) << 23));
}
