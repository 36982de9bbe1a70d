// The kernels for AVX2 with FMA: two registers hold 16 rows, `vpmaddubsw` multiplies 4 columns of each into sums of 16
// bits, which take as many products as the format's codes leave room for.
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

/// Tokens whose sums the registers hold beside the weights: half a panel.
enum { PART_TOKENS = 4 };
_Static_assert(K_PANEL_TOKENS == 8 && PART_TOKENS == K_PANEL_TOKENS / 2, "one register holds a panel's numbers");

/// A block's 8 groups of 4 columns, each twice where codes of 8 bits are two of 4.
enum { KEPT_GROUPS = 16 };

/// What turns a block's integer sums into floats, for each half of the rows: d and m.
typedef struct {
  __m256 d[2];
  __m256 m[2];
} block_factors;

/// What Q6_K's integer sums take beside the codes: the scales of a block's first and last 16 columns, for each half of
/// the rows, as pairs of equal 16-bit numbers and side by side.
typedef struct {
  __m256i first[2];
  __m256i last[2];
  __m256i both[2];
  /// Of each token of the panel the sums of its first and last 16 codes, negated, side by side.
  int32_t code_sums[K_PANEL_TOKENS];
} factors_6k;

K_INLINE void load_factors(k_format format, const uint8_t *scales, size_t block, block_factors *factors) {
  f32x16 d, m = v_set(0);
  const uint8_t *sub;
  if (format == K_FORMAT_Q6K) block_scales_6k(scales, block, &d, &sub);
  else block_scales(format, scales, block, &d, &m);
  memcpy(factors->d, &d, sizeof d);
  memcpy(factors->m, &m, sizeof m);
}

K_INLINE void load_factors_6k(const uint8_t *scales, size_t block, const k_panel *panel, factors_6k *out) {
  f32x16 d;
  const uint8_t *sub;
  block_scales_6k(scales, block, &d, &sub);
  for (int half = 0; half < 2; half++) {
    __m256i first = _mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(sub + 8 * half)));
    __m256i last = _mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(sub + 16 + 8 * half)));
    out->first[half] = _mm256_blend_epi16(first, _mm256_slli_epi32(first, 16), 0xaa);
    out->last[half] = _mm256_blend_epi16(last, _mm256_slli_epi32(last, 16), 0xaa);
    out->both[half] = _mm256_blend_epi16(first, _mm256_slli_epi32(last, 16), 0xaa);
  }
  __m256i low = _mm256_srai_epi32(load((const uint8_t *)panel->low), 5);
  __m256i high = _mm256_slli_epi32(load((const uint8_t *)panel->high), 16 - 5);
  _mm256_storeu_si256((__m256i *)out->code_sums, _mm256_blend_epi16(low, high, 0xaa));
}

/// The codes of 8 rows in 4 columns from 4 × `group` on; `half` chooses the rows. Of eight bits the low nibbles, and
/// the high ones from group 8 on.
K_INLINE __m256i unpack(k_format format, const uint8_t *codes, const uint8_t *high, int group, int half) {
  int nibbles = format == K_FORMAT_Q8 ? 8 : 4;
  __m256i out = load(codes + 64 * (group % nibbles) + 32 * half);
  if (group >= nibbles) out = _mm256_srli_epi16(out, 4);
  out = _mm256_and_si256(out, _mm256_set1_epi8(15));
  if (high_bytes(format) == 64) {
    __m256i bits = load(high + 32 * half);
    bits = group < 4 ? _mm256_slli_epi16(bits, 4 - group) : _mm256_srli_epi16(bits, group - 4);
    out = _mm256_or_si256(out, _mm256_and_si256(bits, _mm256_set1_epi8(16)));
  } else if (high_bytes(format) == 128) {
    __m256i pairs = load(high + 64 * (group / 4) + 32 * half);
    int shift = 2 * (group % 4);
    pairs = shift < 4 ? _mm256_slli_epi16(pairs, 4 - shift) : _mm256_srli_epi16(pairs, shift - 4);
    out = _mm256_or_si256(out, _mm256_and_si256(pairs, _mm256_set1_epi8(48)));
  }
  return out;
}

/// One block of 16 rows.
typedef struct {
  const uint8_t *codes;
  const uint8_t *high;
  /// Of Q6_K alone.
  const factors_6k *sub;
  /// Unpacked: where a panel's second half is multiplied with it, only the first unpacks.
  __m256i (*kept)[2];
} weight_block;

K_INLINE __m256i take(k_format format, weights_source source, const weight_block *block, int group, int half) {
  __m256i *kept = &block->kept[group][half];
  if (source == WEIGHTS_KEPT) return *kept;
  __m256i out = unpack(format, block->codes, block->high, group, half);
  if (source == WEIGHTS_TO_KEEP) *kept = out;
  return out;
}

/// Some tokens of a panel.
typedef struct {
  const k_panel *panel;
  size_t lane;
} panel_part;

/// Integer sums of a part's tokens, for both halves of the rows, and how they become floats.
typedef struct {
  panel_part part;
  __m256i sums[PART_TOKENS][2];
  const block_factors *factors;
  /// The tokens' totals of all blocks.
  __m256 (*totals)[2];
} pending_sums;

/// Adds the pending sums of tokens [from, to).
K_INLINE void add_pending(k_format format, const pending_sums *pending, int from, int to) {
  const k_panel *panel = pending->part.panel;
  const block_factors *factors = pending->factors;
#pragma clang loop unroll(full)
  for (int t = from; t < to; t++) {
    size_t token = pending->part.lane + (size_t)t;
    __m256 d = _mm256_set1_ps(panel->d[token]), sum = _mm256_set1_ps(panel->sum[token]);
#pragma clang loop unroll(full)
    for (int half = 0; half < 2; half++) {
      __m256 factor = _mm256_mul_ps(factors->d[half], d);
      __m256 total = _mm256_fmadd_ps(_mm256_cvtepi32_ps(pending->sums[t][half]), factor, pending->totals[t][half]);
      pending->totals[t][half] = format == K_FORMAT_Q6K ? total : _mm256_fmadd_ps(factors->m[half], sum, total);
    }
  }
}

K_INLINE __m256i broadcast(panel_part part, int token, int group) {
  int32_t four;
  memcpy(&four, part.panel->codes[part.lane + (size_t)token] + 4 * group, 4);
  return _mm256_set1_epi32(four);
}

/// Keeps the compiler from adding many products up as a tree, for which the registers do not suffice.
#define ONE_BY_ONE(a) asm volatile("" : "+x"(a))

/// Codes of 4 and 5 bits. Pairs' sums fit 16 bits: 2 × 127 × code × products ≤ 32,767 for eight products of 4 bits, and
/// for four of 5.
K_INLINE void multiply_narrow(
    k_format format, int tokens, weights_source source, const weight_block *block, panel_part part, int pending_tokens,
    const pending_sums *pending, __m256i (*out)[2]) {
  const __m256i ones = _mm256_set1_epi16(1);
  const bool is_5 = high_bytes(format) == 64;
  __m256i pairs[PART_TOKENS][2], half_sums[PART_TOKENS][2];
#pragma clang loop unroll(full)
  for (int i = 0; i < 8; i++) {
    // 0, 4, 1, 5, …: both nibbles of what is loaded.
    int group = i / 2 + i % 2 * 4;
    bool begins = i == 0 || (is_5 && i == 4);
    __m256i w0 = take(format, source, block, group, 0), w1 = take(format, source, block, group, 1);
#pragma clang loop unroll(full)
    for (int t = 0; t < tokens; t++) {
      __m256i x = broadcast(part, t, group);
      __m256i p0 = _mm256_maddubs_epi16(w0, x), p1 = _mm256_maddubs_epi16(w1, x);
      pairs[t][0] = begins ? p0 : _mm256_add_epi16(pairs[t][0], p0);
      pairs[t][1] = begins ? p1 : _mm256_add_epi16(pairs[t][1], p1);
      ONE_BY_ONE(pairs[t][0]);
      ONE_BY_ONE(pairs[t][1]);
    }
    add_pending(format, pending, pending_tokens * i / 8, pending_tokens * (i + 1) / 8);
    if (is_5 && i == 3) {
#pragma clang loop unroll(full)
      for (int t = 0; t < tokens; t++) {
        half_sums[t][0] = _mm256_madd_epi16(pairs[t][0], ones);
        half_sums[t][1] = _mm256_madd_epi16(pairs[t][1], ones);
      }
    }
  }
#pragma clang loop unroll(full)
  for (int t = 0; t < tokens; t++) {
    for (int half = 0; half < 2; half++) {
      __m256i sum = _mm256_madd_epi16(pairs[t][half], ones);
      out[t][half] = is_5 ? _mm256_add_epi32(sum, half_sums[t][half]) : sum;
    }
  }
}

/// Codes of 6 bits: two products' pairs fit 16 bits, 2 × 127 × 63 × 2 = 32,004. The scales are multiplied where the
/// pairs are added up.
K_INLINE void multiply_6k(
    int tokens, weights_source source, const weight_block *block, panel_part part, int pending_tokens,
    const pending_sums *pending, __m256i (*out)[2]) {
  __m256i sums[PART_TOKENS][2];
#pragma clang loop unroll(full)
  for (int t = 0; t < tokens; t++) {
    // × 32 they take off what the codes have in excess.
    __m256i code_sums = _mm256_set1_epi32(block->sub->code_sums[part.lane + (size_t)t]);
#pragma clang loop unroll(full)
    for (int half = 0; half < 2; half++) {
      sums[t][half] = _mm256_slli_epi32(_mm256_madd_epi16(block->sub->both[half], code_sums), 5);
    }
  }
#pragma clang loop unroll(full)
  for (int group = 0; group < 8; group += 2) {
    __m256i w0[2], w1[2];
#pragma clang loop unroll(full)
    for (int half = 0; half < 2; half++) {
      w0[half] = take(K_FORMAT_Q6K, source, block, group, half);
      w1[half] = take(K_FORMAT_Q6K, source, block, group + 1, half);
    }
#pragma clang loop unroll(full)
    for (int t = 0; t < tokens; t++) {
      __m256i x = broadcast(part, t, group), y = broadcast(part, t, group + 1);
#pragma clang loop unroll(full)
      for (int half = 0; half < 2; half++) {
        __m256i pairs = _mm256_add_epi16(_mm256_maddubs_epi16(w0[half], x), _mm256_maddubs_epi16(w1[half], y));
        pairs = _mm256_madd_epi16(pairs, group < 4 ? block->sub->first[half] : block->sub->last[half]);
        sums[t][half] = _mm256_add_epi32(sums[t][half], pairs);
        ONE_BY_ONE(sums[t][half]);
      }
    }
    add_pending(K_FORMAT_Q6K, pending, pending_tokens * group / 8, pending_tokens * (group + 2) / 8);
  }
#pragma clang loop unroll(full)
  for (int t = 0; t < tokens; t++) out[t][0] = sums[t][0], out[t][1] = sums[t][1];
}

/// Codes of 8 bits, as two of 4, of which eight products fit.
K_INLINE void multiply_8(
    int tokens, weights_source source, const weight_block *block, panel_part part, int pending_tokens,
    const pending_sums *pending, __m256i (*out)[2]) {
  const __m256i ones = _mm256_set1_epi16(1), sixteens = _mm256_set1_epi16(16);
  __m256i sums[PART_TOKENS][2];
#pragma clang loop unroll(full)
  for (int half = 0; half < 2; half++) {
    __m256i low[PART_TOKENS], top[PART_TOKENS];
#pragma clang loop unroll(full)
    for (int group = 0; group < 8; group++) {
      __m256i w0 = take(K_FORMAT_Q8, source, block, group, half);
      __m256i w1 = take(K_FORMAT_Q8, source, block, group + 8, half);
#pragma clang loop unroll(full)
      for (int t = 0; t < tokens; t++) {
        __m256i x = broadcast(part, t, group);
        __m256i p0 = _mm256_maddubs_epi16(w0, x), p1 = _mm256_maddubs_epi16(w1, x);
        low[t] = group == 0 ? p0 : _mm256_add_epi16(low[t], p0);
        top[t] = group == 0 ? p1 : _mm256_add_epi16(top[t], p1);
        ONE_BY_ONE(low[t]);
        ONE_BY_ONE(top[t]);
      }
      int step = 8 * half + group;
      add_pending(K_FORMAT_Q8, pending, pending_tokens * step / 16, pending_tokens * (step + 1) / 16);
    }
#pragma clang loop unroll(full)
    for (int t = 0; t < tokens; t++) {
      sums[t][half] = _mm256_add_epi32(_mm256_madd_epi16(low[t], ones), _mm256_madd_epi16(top[t], sixteens));
    }
  }
#pragma clang loop unroll(full)
  for (int t = 0; t < tokens; t++) out[t][0] = sums[t][0], out[t][1] = sums[t][1];
}

/// Multiplies a block with a part's tokens. Between the products stand the float sums of what was multiplied before, so
/// that neither waits for the latency of the other.
K_INLINE void multiply(
    k_format format, int tokens, weights_source source, const weight_block *block, panel_part part, int pending_tokens,
    const pending_sums *pending, __m256i (*out)[2]) {
  if (format == K_FORMAT_Q6K) {
    multiply_6k(tokens, source, block, part, pending_tokens, pending, out);
  } else if (format == K_FORMAT_Q8) {
    multiply_8(tokens, source, block, part, pending_tokens, pending, out);
  } else {
    multiply_narrow(format, tokens, source, block, part, pending_tokens, pending, out);
  }
}

/// One tile for the tokens of a panel, in two parts.
K_INLINE void avx2_tile(
    k_format format, int tokens, const k_matrix *w, const k_activations *x, size_t tile, size_t token,
    outlier_column *column, float *y, size_t stride) {
  const int first_tokens = tokens < PART_TOKENS ? tokens : PART_TOKENS, second_tokens = tokens - first_tokens;
  size_t blocks = w->columns / 32;
  const uint8_t *codes = w->codes + tile * w->codes_stride;
  const uint8_t *high = w->high + tile * w->high_stride;
  const uint8_t *scales = w->scales + tile * w->scales_stride;
  const k_panel *panels = x->panels + k_panel_index(token, w->columns);
  __m256 totals[K_PANEL_TOKENS][2];
  for (int t = 0; t < tokens; t++) {
    f32x16 start = outlier_product(format, w, x, tile, token + (size_t)t, column);
    memcpy(totals[t], &start, sizeof start);
  }
  // Before the first block stands one that adds −0, which leaves every sum as it is.
  static const k_panel no_panel;
  const __m256 minus_zero = _mm256_set1_ps(-0.0f);
  block_factors factors = {{minus_zero, minus_zero}, {minus_zero, minus_zero}};
  pending_sums first = {.factors = &factors, .part = {&no_panel, 0}, .totals = totals};
  pending_sums second = {.factors = &factors, .part = {&no_panel, 0}, .totals = totals + PART_TOKENS};
  __m256i kept[KEPT_GROUPS][2];
  factors_6k sub;
  for (size_t b = 0; b < blocks; b++) {
    prefetch_block(format, codes, high, scales, b + PREFETCH_BLOCKS);
    weight_block block = {codes + b * code_bytes(format), high + b * high_bytes(format), &sub, kept};
    if (format == K_FORMAT_Q6K) load_factors_6k(scales, b, panels + b, &sub);
    panel_part part = {panels + b, 0};
    if (second_tokens == 0) {
      multiply(format, first_tokens, WEIGHTS_PACKED, &block, part, first_tokens, &first, first.sums);
    } else {
      multiply(format, first_tokens, WEIGHTS_TO_KEEP, &block, part, second_tokens, &second, first.sums);
    }
    first.part = part;
    // Not before: the products above added the sums of the block before.
    load_factors(format, scales, b, &factors);
    if (second_tokens > 0) {
      part.lane = PART_TOKENS;
      multiply(format, second_tokens, WEIGHTS_KEPT, &block, part, first_tokens, &first, second.sums);
      second.part = part;
    }
  }
  if (second_tokens == 0) add_pending(format, &first, 0, first_tokens);
  else add_pending(format, &second, 0, second_tokens);
  for (int t = 0; t < tokens; t++) {
    f32x16 total;
    memcpy(&total, totals[t], sizeof total);
    store_rows(w, tile, y + (token + (size_t)t) * stride, total);
  }
}

K_INLINE void avx2_tiles(
    k_format format, const k_matrix *w, const k_activations *x, uint32_t begin, uint32_t end, float *y,
    size_t stride) {
  for (size_t tile = begin; tile < end; tile++) {
    outlier_column column = {.column = UINT32_MAX};
    for (size_t t = 0; t < x->tokens; t += K_PANEL_TOKENS) {
      switch (x->tokens - t) {
        case 1: avx2_tile(format, 1, w, x, tile, t, &column, y, stride); break;
        case 2: avx2_tile(format, 2, w, x, tile, t, &column, y, stride); break;
        case 3: avx2_tile(format, 3, w, x, tile, t, &column, y, stride); break;
        case 4: avx2_tile(format, 4, w, x, tile, t, &column, y, stride); break;
        case 5: avx2_tile(format, 5, w, x, tile, t, &column, y, stride); break;
        case 6: avx2_tile(format, 6, w, x, tile, t, &column, y, stride); break;
        case 7: avx2_tile(format, 7, w, x, tile, t, &column, y, stride); break;
        default: avx2_tile(format, 8, w, x, tile, t, &column, y, stride); break;
      }
    }
  }
}

K_DEFINE_MATMUL_INT8(avx2_tiles)

K_DEFINE_TABLE(k_kernels_avx2, K_PATH_AVX2, "avx2");
#pragma clang attribute pop
#endif
