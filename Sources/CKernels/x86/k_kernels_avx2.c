// The kernels for AVX2 with FMA: half a tile at a time, `vpmaddubsw` for the products.
#if defined(__x86_64__)
#include <immintrin.h>
#include <math.h>

#define K_PATH_IS_AVX2 1
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)
#include "../generic/k_attend.h"
#include "../generic/k_elementwise.h"
#include "../generic/k_matmul.h"
#include "../portable/k_paths.h"

K_INLINE __m256i load(const uint8_t *from) { return _mm256_loadu_si256((const __m256i *)from); }

/// Unpacks the codes of 8 rows × 32 columns, 4 columns a register; `half` chooses the tile's rows.
K_INLINE void unpack(k_format format, const uint8_t *codes, const uint8_t *high, int half, __m256i out[8]) {
  codes += 32 * half;
  high += 32 * half;
  if (format == K_FORMAT_Q8) {
    // Stored as code + 128: back to two's complement, for the product by sign and magnitude.
    for (int g = 0; g < 8; g++) out[g] = _mm256_xor_si256(load(codes + 64 * g), _mm256_set1_epi8(-128));
    return;
  }
  const __m256i nibble = _mm256_set1_epi8(15);
  for (int g = 0; g < 4; g++) {
    __m256i both = load(codes + 64 * g);
    out[g] = _mm256_and_si256(both, nibble);
    out[g + 4] = _mm256_and_si256(_mm256_srli_epi16(both, 4), nibble);
  }
  if (high_bytes(format) == 64) {
    const __m256i bit = _mm256_set1_epi8(16);
    __m256i bits = load(high);
    for (int g = 0; g < 8; g++) {
      __m256i moved = g < 4 ? _mm256_slli_epi16(bits, 4 - g) : _mm256_srli_epi16(bits, g - 4);
      out[g] = _mm256_or_si256(out[g], _mm256_and_si256(moved, bit));
    }
  } else if (high_bytes(format) == 128) {
    const __m256i mask = _mm256_set1_epi8(48);
    for (int part = 0; part < 2; part++) {
      __m256i pairs = load(high + 64 * part);
      __m256i moved[4] = {
          _mm256_slli_epi16(pairs, 4), _mm256_slli_epi16(pairs, 2), pairs, _mm256_srli_epi16(pairs, 2)};
      for (int g = 0; g < 4; g++) {
        out[4 * part + g] = _mm256_or_si256(out[4 * part + g], _mm256_and_si256(moved[g], mask));
      }
    }
  }
}

/// Products whose pairwise sums fit 16 bits when this many are added: 2 × 127 × code × n ≤ 32,767.
K_INLINE int products_per_sum(k_format format) {
  if (format == K_FORMAT_Q8) return 1;
  return high_bytes(format) == 128 ? 2 : high_bytes(format) == 64 ? 4 : 8;
}

K_INLINE __m256i dot(k_format format, const __m256i *weights, const int8_t *x, int from, int to) {
  const __m256i ones = _mm256_set1_epi16(1);
  int step = products_per_sum(format);
  __m256i sum = _mm256_setzero_si256();
  for (int g = from; g < to; g += step) {
    __m256i pairs = _mm256_setzero_si256();
    for (int i = g; i < g + step && i < to; i++) {
      int32_t four;
      memcpy(&four, x + 4 * i, 4);
      __m256i v = _mm256_set1_epi32(four);
      __m256i product = format == K_FORMAT_Q8
                            ? _mm256_maddubs_epi16(_mm256_abs_epi8(weights[i]), _mm256_sign_epi8(v, weights[i]))
                            : _mm256_maddubs_epi16(weights[i], v);
      pairs = i == g ? product : _mm256_add_epi16(pairs, product);
    }
    sum = _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, ones));
  }
  return sum;
}

/// Adds one block's products for 8 rows and some tokens to `sums`.
K_INLINE void add_block(
    k_format format, int tokens, int half, const uint8_t *codes, const uint8_t *high, const uint8_t *scales,
    size_t block, const k_panel *panel, size_t lane, __m256 *sums) {
  __m256i weights[8];
  unpack(format, codes + block * code_bytes(format), high + block * high_bytes(format), half, weights);
  if (format == K_FORMAT_Q6K) {
    f32x16 both_d;
    const uint8_t *sub;
    block_scales_6k(scales, block, &both_d, &sub);
    __m256 d = ((const __m256 *)&both_d)[half];
    __m256i first = _mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(sub + 8 * half)));
    __m256i second = _mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(sub + 16 + 8 * half)));
    for (int t = 0; t < tokens; t++) {
      size_t token = lane + (size_t)t;
      const int8_t *v = panel->codes[token];
      __m256i low = _mm256_add_epi32(dot(format, weights, v, 0, 4), _mm256_set1_epi32(panel->low[token]));
      __m256i top = _mm256_add_epi32(dot(format, weights, v, 4, 8), _mm256_set1_epi32(panel->high[token]));
      __m256i both = _mm256_add_epi32(_mm256_mullo_epi32(low, first), _mm256_mullo_epi32(top, second));
      __m256 factor = _mm256_mul_ps(d, _mm256_set1_ps(panel->d[token]));
      sums[t] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(both), factor, sums[t]);
    }
    return;
  }
  f32x16 both_d, both_m;
  block_scales(format, scales, block, &both_d, &both_m);
  __m256 d = ((const __m256 *)&both_d)[half];
  __m256 m = ((const __m256 *)&both_m)[half];
  for (int t = 0; t < tokens; t++) {
    size_t token = lane + (size_t)t;
    __m256i sum = dot(format, weights, panel->codes[token], 0, 8);
    if (format == K_FORMAT_Q8) {
      // low + high is −32 × the sum of the codes, so this adds the 128 × that the stored codes have in excess.
      sum = _mm256_sub_epi32(sum, _mm256_set1_epi32(4 * (panel->low[token] + panel->high[token])));
    }
    __m256 factor = _mm256_mul_ps(d, _mm256_set1_ps(panel->d[token]));
    sums[t] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(sum), factor, sums[t]);
    sums[t] = _mm256_fmadd_ps(m, _mm256_set1_ps(panel->sum[token]), sums[t]);
  }
}

/// Tokens that share what was unpacked: half a panel, as many as the registers hold.
enum { PART_TOKENS = 4 };

K_INLINE void avx2_tile(
    k_format format, int tokens, const k_matrix *w, const k_activations *x, size_t tile, size_t token,
    outlier_column *column, float *y, size_t stride) {
  size_t blocks = w->columns / 32;
  const uint8_t *codes = w->codes + tile * w->codes_stride;
  const uint8_t *high = w->high + tile * w->high_stride;
  const uint8_t *scales = w->scales + tile * w->scales_stride;
  const k_panel *panels = x->panels + k_panel_index(token, w->columns);
  size_t lane = token % K_PANEL_TOKENS;
  __m256 sums[2][PART_TOKENS];
  for (int t = 0; t < tokens; t++) {
    f32x16 both = outlier_product(format, w, x, tile, token + (size_t)t, column);
    memcpy(&sums[0][t], &both, 32);
    memcpy(&sums[1][t], (char *)&both + 32, 32);
  }
  for (size_t b = 0; b < blocks; b++) {
    prefetch_block(format, codes, high, scales, b + PREFETCH_BLOCKS);
    add_block(format, tokens, 0, codes, high, scales, b, panels + b, lane, sums[0]);
    add_block(format, tokens, 1, codes, high, scales, b, panels + b, lane, sums[1]);
  }
  for (int t = 0; t < tokens; t++) {
    f32x16 both;
    memcpy(&both, &sums[0][t], 32);
    memcpy((char *)&both + 32, &sums[1][t], 32);
    store_rows(w, tile, y + (token + (size_t)t) * stride, both);
  }
}

K_INLINE void avx2_tiles(
    k_format format, const k_matrix *w, const k_activations *x, uint32_t begin, uint32_t end, float *y,
    size_t stride) {
  for (size_t tile = begin; tile < end; tile++) {
    outlier_column column = {.column = UINT32_MAX};
    for (size_t t = 0; t < x->tokens; t += PART_TOKENS) {
      switch (x->tokens - t) {
        case 1: avx2_tile(format, 1, w, x, tile, t, &column, y, stride); break;
        case 2: avx2_tile(format, 2, w, x, tile, t, &column, y, stride); break;
        case 3: avx2_tile(format, 3, w, x, tile, t, &column, y, stride); break;
        default: avx2_tile(format, PART_TOKENS, w, x, tile, t, &column, y, stride); break;
      }
    }
  }
}

K_DEFINE_MATMUL_INT8(avx2_tiles)

K_DEFINE_TABLE(k_kernels_avx2, K_PATH_AVX2, "avx2");
#pragma clang attribute pop
#endif
