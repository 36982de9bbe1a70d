// The kernels for AVX-512 with VNNI: one register holds 16 rows, `vpdpbusd` multiplies 4 columns of each.
#if defined(__x86_64__)
#include <immintrin.h>
#include <math.h>

#define K_PATH_IS_AVX512 1
#pragma clang attribute push( \
    __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c"))), apply_to = function)
#include "../generic/k_attend.h"
#include "../generic/k_elementwise.h"
#include "../generic/k_matmul.h"
#include "../portable/k_paths.h"

/// Unpacks the codes of 16 rows × 32 columns, 4 columns a register.
K_INLINE void unpack(k_format format, const uint8_t *codes, const uint8_t *high, __m512i out[8]) {
  if (format == K_FORMAT_Q8) {
    for (int g = 0; g < 8; g++) out[g] = _mm512_loadu_si512(codes + 64 * g);
    return;
  }
  const __m512i nibble = _mm512_set1_epi8(15);
  for (int g = 0; g < 4; g++) {
    __m512i both = _mm512_loadu_si512(codes + 64 * g);
    out[g] = _mm512_and_si512(both, nibble);
    out[g + 4] = _mm512_and_si512(_mm512_srli_epi16(both, 4), nibble);
  }
  if (high_bytes(format) == 64) {
    const __m512i bit = _mm512_set1_epi8(16);
    __m512i bits = _mm512_loadu_si512(high);
    for (int g = 0; g < 8; g++) {
      __m512i moved = g < 4 ? _mm512_slli_epi16(bits, (unsigned)(4 - g)) : _mm512_srli_epi16(bits, (unsigned)(g - 4));
      out[g] = _mm512_ternarylogic_epi32(out[g], moved, bit, 0xf8);  // a | (b & c)
    }
  } else if (high_bytes(format) == 128) {
    const __m512i bits = _mm512_set1_epi8(48);
    for (int half = 0; half < 2; half++) {
      __m512i pairs = _mm512_loadu_si512(high + 64 * half);
      __m512i moved[4] = {
          _mm512_slli_epi16(pairs, 4), _mm512_slli_epi16(pairs, 2), pairs, _mm512_srli_epi16(pairs, 2)};
      for (int g = 0; g < 4; g++) {
        out[4 * half + g] = _mm512_ternarylogic_epi32(out[4 * half + g], moved[g], bits, 0xf8);
      }
    }
  }
}

K_INLINE __m512i dot(__m512i sum, const __m512i *weights, const int8_t *x, int from, int to) {
  for (int g = from; g < to; g++) {
    int32_t four;
    memcpy(&four, x + 4 * g, 4);
    sum = _mm512_dpbusd_epi32(sum, weights[g], _mm512_set1_epi32(four));
  }
  return sum;
}

K_INLINE void avx512_tile(
    k_format format, int tokens, const k_matrix *w, const k_activations *x, size_t tile, size_t token,
    outlier_column *column, float *y, size_t stride) {
  size_t blocks = w->columns / 32;
  const uint8_t *codes = w->codes + tile * w->codes_stride;
  const uint8_t *high = w->high + tile * w->high_stride;
  const uint8_t *scales = w->scales + tile * w->scales_stride;
  const int8_t *q = x->codes + token * x->columns;
  const k_block_scale *q_scales = x->scales + token * blocks;
  __m512 sums[16];
  for (int t = 0; t < tokens; t++) {
    sums[t] = __builtin_bit_cast(__m512, outlier_product(format, w, x, tile, token + (size_t)t, column));
  }
  for (size_t b = 0; b < blocks; b++) {
    prefetch_block(format, codes, high, scales, b + PREFETCH_BLOCKS);
    __m512i weights[8];
    unpack(format, codes + b * code_bytes(format), high + b * high_bytes(format), weights);
    if (format == K_FORMAT_Q6K) {
      f32x16 d;
      const uint8_t *sub;
      block_scales_6k(scales, b, &d, &sub);
      __m512i first = _mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)sub));
      __m512i second = _mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)sub + 1));
      for (int t = 0; t < tokens; t++) {
        const k_block_scale *scale = q_scales + (size_t)t * blocks + b;
        const int8_t *v = q + (size_t)t * x->columns + 32 * b;
        __m512i low = dot(_mm512_set1_epi32(scale->low), weights, v, 0, 4);
        __m512i top = dot(_mm512_set1_epi32(scale->high), weights, v, 4, 8);
        __m512i both = _mm512_add_epi32(_mm512_mullo_epi32(low, first), _mm512_mullo_epi32(top, second));
        __m512 factor = _mm512_mul_ps(__builtin_bit_cast(__m512, d), _mm512_set1_ps(scale->d));
        sums[t] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(both), factor, sums[t]);
      }
    } else {
      f32x16 d, m;
      block_scales(format, scales, b, &d, &m);
      for (int t = 0; t < tokens; t++) {
        const k_block_scale *scale = q_scales + (size_t)t * blocks + b;
        const int8_t *v = q + (size_t)t * x->columns + 32 * b;
        // Integer sums may be taken in any order; two chains hide the latency of a lone token's.
        __m512i sum = dot(_mm512_setzero_si512(), weights, v, 0, tokens < 4 ? 4 : 8);
        if (tokens < 4) sum = _mm512_add_epi32(sum, dot(_mm512_setzero_si512(), weights, v, 4, 8));
        __m512 factor = _mm512_mul_ps(__builtin_bit_cast(__m512, d), _mm512_set1_ps(scale->d));
        sums[t] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum), factor, sums[t]);
        sums[t] = _mm512_fmadd_ps(__builtin_bit_cast(__m512, m), _mm512_set1_ps(scale->sum), sums[t]);
      }
    }
  }
  for (int t = 0; t < tokens; t++) {
    store_rows(w, tile, y + (token + (size_t)t) * stride, __builtin_bit_cast(f32x16, sums[t]));
  }
}

// Six-bit codes are the dearest to unpack: twice the tokens share it.
#define LARGEST_TOKENS(format) (format == K_FORMAT_Q6K ? 16 : 8)
K_DEFINE_MATMUL_INT8(avx512_tile, LARGEST_TOKENS)

K_DEFINE_TABLE(k_kernels_avx512, K_PATH_AVX512, "avx512");
#pragma clang attribute pop
#endif
