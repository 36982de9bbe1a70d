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

/// Unpacks the codes of 16 rows in 4 columns from 4 × `pair`, and in 4 from 16 + 4 × `pair`: their bits lie side by side.
K_INLINE void unpack(k_format format, const uint8_t *codes, const uint8_t *high, int pair, __m512i out[2]) {
  if (format == K_FORMAT_Q8) {
    out[0] = _mm512_loadu_si512(codes + 64 * pair);
    out[1] = _mm512_loadu_si512(codes + 64 * (pair + 4));
    return;
  }
  const __m512i nibble = _mm512_set1_epi8(15);
  __m512i both = _mm512_loadu_si512(codes + 64 * pair);
  out[0] = _mm512_and_si512(both, nibble);
  out[1] = _mm512_and_si512(_mm512_srli_epi16(both, 4), nibble);
  const unsigned shift = (unsigned)pair;
  if (high_bytes(format) == 64) {
    const __m512i bit = _mm512_set1_epi8(16);
    __m512i bits = _mm512_loadu_si512(high);
    // 0xf8: a | (b & c).
    out[0] = _mm512_ternarylogic_epi32(out[0], _mm512_slli_epi16(bits, 4 - shift), bit, 0xf8);
    out[1] = _mm512_ternarylogic_epi32(out[1], _mm512_srli_epi16(bits, shift), bit, 0xf8);
  } else if (high_bytes(format) == 128) {
    const __m512i bits = _mm512_set1_epi8(48);
    for (int half = 0; half < 2; half++) {
      __m512i pairs = _mm512_loadu_si512(high + 64 * half);
      pairs = pair < 2 ? _mm512_slli_epi16(pairs, 4 - 2 * shift) : _mm512_srli_epi16(pairs, 2 * shift - 4);
      out[half] = _mm512_ternarylogic_epi32(out[half], pairs, bits, 0xf8);
    }
  }
}

/// What turns a block's integer sums into floats: d and m, or of Q6_K D and the scales of its two halves.
typedef struct {
  __m512 d;
  __m512 first;
  __m512 second;
} block_factors;

K_INLINE block_factors load_factors(k_format format, const uint8_t *scales, size_t block) {
  f32x16 d, first, second = v_set(0);
  if (format == K_FORMAT_Q6K) {
    const uint8_t *sub;
    block_scales_6k(scales, block, &d, &sub);
    first = v_from_i8(sub);
    second = v_from_i8(sub + 16);
  } else {
    block_scales(format, scales, block, &d, &first);
  }
  return (block_factors){
      __builtin_bit_cast(__m512, d), __builtin_bit_cast(__m512, first), __builtin_bit_cast(__m512, second)};
}

/// 16 rows of a block, unpacked: where several panels are multiplied with them, only the first unpacks.
typedef struct {
  __m512i codes[4][2];
  block_factors factors;
} kept_block;

/// Most blocks that are kept at a time: 33 KiB. Longer rows go through in pieces of about the same length.
enum { KEPT_BLOCKS = 48 };

/// Part of a tile: blocks [begin, end) of its rows.
typedef struct {
  const uint8_t *codes;
  const uint8_t *high;
  const uint8_t *scales;
  size_t begin;
  size_t end;
  /// From the part's end to the next tile's beginning of the same part.
  size_t skipped;
  kept_block *kept;
} tile_part;

/// Adds one block's integer sums to a token's.
K_INLINE __m512 add_block(
    k_format format, int chains, const block_factors *factors, const k_panel *panel, int token, __m512i first,
    __m512i second, __m512 sum) {
  __m512 factor = _mm512_mul_ps(factors->d, _mm512_set1_ps(panel->d[token]));
  if (format == K_FORMAT_Q6K) {
    // Exact, as all of it is below 2²⁴; + 0 keeps a zero's sign that of an integer.
    __m512 both = _mm512_fmadd_ps(_mm512_cvtepi32_ps(first), factors->first, _mm512_setzero_ps());
    both = _mm512_fmadd_ps(_mm512_cvtepi32_ps(second), factors->second, both);
    return _mm512_fmadd_ps(both, factor, sum);
  }
  if (chains == 2) first = _mm512_add_epi32(first, second);
  sum = _mm512_fmadd_ps(_mm512_cvtepi32_ps(first), factor, sum);
  return _mm512_fmadd_ps(factors->first, _mm512_set1_ps(panel->sum[token]), sum);
}

K_INLINE __m512i multiply(__m512i sums, __m512i weights, const int8_t *codes) {
  int32_t four;
  memcpy(&four, codes, 4);
  return _mm512_dpbusd_epi32(sums, weights, _mm512_set1_epi32(four));
}

/// Adds the products of a part of 16 rows and `tokens` tokens of the panels to `out`.
///
/// Between the integer products of one block stand the float sums of the block before, so that neither waits for the
/// latency of the other, unless the registers do not hold both: six-bit codes have two integer sums for each token.
K_INLINE void add_products(
    k_format format, int tokens, weights_source source, const tile_part *part, const k_panel *panels, __m512 *out) {
  const bool is_6k = format == K_FORMAT_Q6K;
  const bool overlaps = !is_6k || tokens <= 4;
  // A chain of products for each token, two where tokens are too few to hide an instruction's latency.
  const int chains = is_6k || tokens < 4 ? 2 : 1;
  __m512 sums[K_PANEL_TOKENS];
  // Before the first block stands one that adds −0, which leaves every sum as it is.
  static const k_panel no_panel;
  const k_panel *last_panel = &no_panel;
  const __m512 zero = _mm512_setzero_ps(), minus_zero = _mm512_set1_ps(-0.0f);
  block_factors factors = {minus_zero, is_6k ? zero : minus_zero, zero};
  __m512i last[2][K_PANEL_TOKENS];
  for (int t = 0; t < tokens; t++) {
    sums[t] = out[t];
    last[0][t] = last[1][t] = _mm512_setzero_si512();
  }
  for (size_t b = part->begin; b < part->end; b++) {
    const k_panel *panel = panels + b;
    const uint8_t *codes = part->codes + b * code_bytes(format);
    const uint8_t *high = part->high + b * high_bytes(format);
    kept_block *kept = source == WEIGHTS_PACKED ? NULL : part->kept + (b - part->begin);
    if (source != WEIGHTS_KEPT) {
      size_t ahead = b + PREFETCH_BLOCKS;
      prefetch_block(format, part->codes, part->high, part->scales, ahead < part->end ? ahead : ahead + part->skipped);
    }
    __m512i products[2][K_PANEL_TOKENS];
    for (int t = 0; t < tokens; t++) {
      products[0][t] = is_6k ? _mm512_set1_epi32(panel->low[t]) : _mm512_setzero_si512();
      products[1][t] = is_6k ? _mm512_set1_epi32(panel->high[t]) : _mm512_setzero_si512();
    }
#pragma clang loop unroll(full)
    for (int pair = 0; pair < 4; pair++) {
      __m512i weights[2];
      if (source == WEIGHTS_KEPT) {
        weights[0] = kept->codes[pair][0], weights[1] = kept->codes[pair][1];
      } else {
        unpack(format, codes, high, pair, weights);
        if (source == WEIGHTS_TO_KEEP) kept->codes[pair][0] = weights[0], kept->codes[pair][1] = weights[1];
      }
      for (int t = 0; t < tokens; t++) {
        products[0][t] = multiply(products[0][t], weights[0], panel->codes[t] + 4 * pair);
      }
      for (int t = tokens * pair / 4; overlaps && t < tokens * (pair + 1) / 4; t++) {
        sums[t] = add_block(format, chains, &factors, last_panel, t, last[0][t], last[1][t], sums[t]);
      }
      for (int t = 0; t < tokens; t++) {
        __m512i *chain = &products[chains - 1][t];
        *chain = multiply(*chain, weights[1], panel->codes[t] + 16 + 4 * pair);
      }
    }
    factors = source == WEIGHTS_KEPT ? kept->factors : load_factors(format, part->scales, b);
    if (source == WEIGHTS_TO_KEEP) kept->factors = factors;
    last_panel = panel;
    for (int t = 0; t < tokens; t++) {
      last[0][t] = products[0][t], last[1][t] = products[1][t];
      if (!overlaps) sums[t] = add_block(format, chains, &factors, panel, t, last[0][t], last[1][t], sums[t]);
    }
  }
  for (int t = 0; t < tokens; t++) {
    out[t] = overlaps ? add_block(format, chains, &factors, last_panel, t, last[0][t], last[1][t], sums[t]) : sums[t];
  }
}

/// `add_products` with the number of tokens as a constant.
K_INLINE void add_some_products(
    k_format format, size_t tokens, weights_source source, const tile_part *part, const k_panel *panels,
    __m512 *sums) {
  switch (tokens) {
    case 1: add_products(format, 1, source, part, panels, sums); break;
    case 2: add_products(format, 2, source, part, panels, sums); break;
    case 3: add_products(format, 3, source, part, panels, sums); break;
    case 4: add_products(format, 4, source, part, panels, sums); break;
    case 5: add_products(format, 5, source, part, panels, sums); break;
    case 6: add_products(format, 6, source, part, panels, sums); break;
    case 7: add_products(format, 7, source, part, panels, sums); break;
    case 8: add_products(format, 8, source, part, panels, sums); break;
  }
}

/// What was kept is the same for all formats but Q6_K.
static void add_kept_products(size_t tokens, const tile_part *part, const k_panel *panels, __m512 *sums) {
  add_some_products(K_FORMAT_Q4, tokens, WEIGHTS_KEPT, part, panels, sums);
}

static void add_kept_products_6k(size_t tokens, const tile_part *part, const k_panel *panels, __m512 *sums) {
  add_some_products(K_FORMAT_Q6K, tokens, WEIGHTS_KEPT, part, panels, sums);
}

/// One tile's part for all tokens, a panel after the other.
K_INLINE void multiply_part(
    k_format format, const k_matrix *w, const k_activations *x, size_t tile, const tile_part *part, float *y,
    size_t stride) {
  outlier_column column = {.column = UINT32_MAX};
  for (size_t token = 0, count; token < x->tokens; token += count) {
    const k_panel *panels = x->panels + k_panel_index(token, w->columns);
    count = x->tokens - token < K_PANEL_TOKENS ? x->tokens - token : K_PANEL_TOKENS;
    __m512 sums[K_PANEL_TOKENS];
    for (size_t t = 0; t < count; t++) {
      f32x16 start = part->begin == 0 ? outlier_product(format, w, x, tile, token + t, &column)
                                      : load_rows(w, tile, y + (token + t) * stride);
      sums[t] = __builtin_bit_cast(__m512, start);
    }
    if (x->tokens <= K_PANEL_TOKENS) {
      add_some_products(format, count, WEIGHTS_PACKED, part, panels, sums);
    } else if (token == 0) {
      add_products(format, K_PANEL_TOKENS, WEIGHTS_TO_KEEP, part, panels, sums);
    } else if (format == K_FORMAT_Q6K) {
      add_kept_products_6k(count, part, panels, sums);
    } else {
      add_kept_products(count, part, panels, sums);
    }
    for (size_t t = 0; t < count; t++) {
      store_rows(w, tile, y + (token + t) * stride, __builtin_bit_cast(f32x16, sums[t]));
    }
  }
}

K_INLINE void avx512_tiles(
    k_format format, const k_matrix *w, const k_activations *x, uint32_t begin, uint32_t end, float *y,
    size_t stride) {
  size_t blocks = w->columns / 32;
  size_t pieces = x->tokens <= K_PANEL_TOKENS ? 1 : (blocks + KEPT_BLOCKS - 1) / KEPT_BLOCKS;
  size_t length = (blocks + pieces - 1) / pieces;
  kept_block kept[KEPT_BLOCKS];
  for (size_t first = 0; first < blocks; first += length) {
    size_t last = first + length < blocks ? first + length : blocks;
    for (size_t tile = begin; tile < end; tile++) {
      tile_part part = {
          .codes = w->codes + tile * w->codes_stride,
          .high = w->high + tile * w->high_stride,
          .scales = w->scales + tile * w->scales_stride,
          .begin = first,
          .end = last,
          .skipped = blocks - (last - first),
          .kept = kept,
      };
      multiply_part(format, w, x, tile, &part, y, stride);
    }
  }
}

K_DEFINE_MATMUL_INT8(avx512_tiles)

K_DEFINE_TABLE(k_kernels_avx512, K_PATH_AVX512, "avx512");
#pragma clang attribute pop
#endif
