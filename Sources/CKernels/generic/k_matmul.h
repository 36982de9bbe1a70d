// What the matrix products of all paths share, for whichever path includes this.
#pragma once
#include "k_kernels.h"
#include "k_vector.h"

K_INLINE size_t code_bytes(k_format format) { return format == K_FORMAT_Q8 ? 512 : 256; }

K_INLINE size_t high_bytes(k_format format) {
  switch (format) {
    case K_FORMAT_Q5:
    case K_FORMAT_Q5M:
    case K_FORMAT_Q5K: return 64;
    case K_FORMAT_Q6K: return 128;
    default: return 0;
  }
}

K_INLINE size_t scale_bytes(k_format format) {
  switch (format) {
    case K_FORMAT_Q4M:
    case K_FORMAT_Q5M: return 64;
    case K_FORMAT_Q4K:
    case K_FORMAT_Q5K: return 40;
    case K_FORMAT_Q6K: return 36;
    default: return 32;
  }
}

/// Blocks of 32 columns between what is multiplied and what is brought up from memory, 4 KiB and more of codes. The
/// hardware's own prefetching loses the weights among the activations.
enum { PREFETCH_BLOCKS = 24 };

/// Asks for one block's codes and scales; it may lie in the next tile, or beyond the matrix, where the processor
/// ignores it.
K_INLINE void prefetch_block(
    k_format format, const uint8_t *codes, const uint8_t *high, const uint8_t *scales, size_t block) {
  for (size_t i = 0; i < code_bytes(format); i += 64) prefetch_line(codes + block * code_bytes(format) + i);
  for (size_t i = 0; i < high_bytes(format); i += 64) prefetch_line(high + block * high_bytes(format) + i);
  prefetch_line(scales + block * scale_bytes(format));
}

/// d and m of 16 rows in one block, as `k_format` defines them; not for Q6_K.
K_INLINE void block_scales(k_format format, const uint8_t *scales, size_t block, f32x16 *d, f32x16 *m) {
  switch (format) {
    case K_FORMAT_Q4M:
    case K_FORMAT_Q5M:
      *d = v_load_half(scales + 64 * block);
      *m = v_load_half(scales + 64 * block + 32);
      break;
    case K_FORMAT_Q4K:
    case K_FORMAT_Q5K: {
      const uint8_t *super = scales + block / 8 * 320;
      const uint8_t *sub = super + 64 + block % 8 * 32;
      *d = v_load_half(super) * v_from_u8(sub);
      *m = -(v_load_half(super + 32) * v_from_u8(sub + 16));
      break;
    }
    default:
      *d = v_load_half(scales + 32 * block);
      *m = *d * (format == K_FORMAT_Q4 ? -8.0f : format == K_FORMAT_Q5 ? -16.0f : -128.0f);
      break;
  }
}

/// Q6_K: D and the two scales of 16 rows.
K_INLINE void block_scales_6k(const uint8_t *scales, size_t block, f32x16 *d, const uint8_t **sub) {
  const uint8_t *super = scales + block / 8 * 288;
  *d = v_load_half(super);
  *sub = super + 32 + block % 8 * 32;
}

/// The codes of 16 rows at column 4 × `group` + `column` of a block, one lane a row.
K_INLINE i32x16 block_codes(
    k_format format, const uint8_t *codes, const uint8_t *high, int group, int column) {
  if (format == K_FORMAT_Q8) return (v_load_i32(codes + 64 * group) >> (8 * column)) & 255;
  i32x16 low = (v_load_i32(codes + 64 * (group % 4)) >> (8 * column + (group < 4 ? 0 : 4))) & 15;
  switch (high_bytes(format)) {
    case 64: return low | ((v_load_i32(high) >> (8 * column + group)) & 1) << 4;
    case 128: return low | ((v_load_i32(high + 64 * (group / 4)) >> (8 * column + 2 * (group % 4))) & 3) << 4;
    default: return low;
  }
}

/// Where a product takes its weights from: those that several products need are kept unpacked.
typedef enum {
  WEIGHTS_PACKED,
  /// Packed, and to be kept.
  WEIGHTS_TO_KEEP,
  WEIGHTS_KEPT,
} weights_source;

/// Stores a tile's results for one token; the last tile may have fewer rows.
K_INLINE void store_rows(const k_matrix *w, size_t tile, float *y, f32x16 sums) {
  size_t row = tile * K_TILE_ROWS;
  if (row + K_TILE_ROWS <= w->rows) {
    v_store(y + row, sums);
  } else {
    memcpy(y + row, &sums, sizeof(float) * (w->rows - row));
  }
}

/// What `store_rows` stored.
K_INLINE f32x16 load_rows(const k_matrix *w, size_t tile, const float *y) {
  size_t row = tile * K_TILE_ROWS;
  if (row + K_TILE_ROWS <= w->rows) return v_load(y + row);
  f32x16 sums = v_set(0);
  memcpy(&sums, y + row, sizeof(float) * (w->rows - row));
  return sums;
}

enum { FLOAT_TOKENS = 64 };

/// Dequantises 16 rows × 32 columns to `[column][row]`.
static void dequantize_block(const k_matrix *w, size_t tile, size_t block, float *weights) {
  const uint8_t *codes = w->codes + tile * w->codes_stride;
  if (w->format == K_FORMAT_F32) {
    memcpy(weights, codes + block * 2048, 2048);
    return;
  }
  if (w->format == K_FORMAT_F16 || w->format == K_FORMAT_BF16) {
    for (size_t k = 0; k < 32; k++) {
      const uint8_t *from = codes + (block * 32 + k) * 32;
      v_store(weights + 16 * k, w->format == K_FORMAT_F16 ? v_load_half(from) : v_load_bf16(from));
    }
    return;
  }
  const uint8_t *high = w->high + tile * w->high_stride + block * high_bytes(w->format);
  const uint8_t *scales = w->scales + tile * w->scales_stride;
  codes += block * code_bytes(w->format);
  f32x16 d[2], m;
  int offset = 0;
  if (w->format == K_FORMAT_Q6K) {
    const uint8_t *sub;
    f32x16 super;
    block_scales_6k(scales, block, &super, &sub);
    d[0] = super * v_from_i8(sub);
    d[1] = super * v_from_i8(sub + 16);
    m = v_set(0);
    offset = 32;
  } else {
    block_scales(w->format, scales, block, &d[0], &m);
    d[1] = d[0];
  }
  for (int k = 0; k < 32; k++) {
    i32x16 code = block_codes(w->format, codes, high, k / 4, k % 4) - offset;
    v_store(weights + 16 * k, d[k / 16] * v_from_i32(code) + m);
  }
}

static void matmul_float(
    const k_matrix *w, const k_activations *x, uint32_t begin, uint32_t end, float *y, size_t stride) {
  float weights[32 * K_TILE_ROWS] __attribute__((aligned(64)));
  f32x16 sums[FLOAT_TOKENS];
  for (size_t first = 0; first < x->tokens; first += FLOAT_TOKENS) {
    size_t count = x->tokens - first < FLOAT_TOKENS ? x->tokens - first : FLOAT_TOKENS;
    for (size_t tile = begin; tile < end; tile++) {
      for (size_t t = 0; t < count; t++) sums[t] = v_set(0);
      for (size_t b = 0; b < w->columns / 32; b++) {
        dequantize_block(w, tile, b, weights);
        const float *from = x->values + first * x->columns + 32 * b;
        size_t t = 0;
        for (; t + 4 <= count; t += 4) {
          f32x16 s0 = sums[t], s1 = sums[t + 1], s2 = sums[t + 2], s3 = sums[t + 3];
          const float *v = from + t * x->columns;
          for (size_t k = 0; k < 32; k++) {
            f32x16 column = v_load(weights + 16 * k);
            s0 = v_fma(column, v_set(v[k]), s0);
            s1 = v_fma(column, v_set(v[k + x->columns]), s1);
            s2 = v_fma(column, v_set(v[k + 2 * x->columns]), s2);
            s3 = v_fma(column, v_set(v[k + 3 * x->columns]), s3);
          }
          sums[t] = s0, sums[t + 1] = s1, sums[t + 2] = s2, sums[t + 3] = s3;
        }
        for (; t < count; t++) {
          for (size_t k = 0; k < 32; k++) {
            sums[t] = v_fma(v_load(weights + 16 * k), v_set(from[t * x->columns + k]), sums[t]);
          }
        }
      }
      for (size_t t = 0; t < count; t++) store_rows(w, tile, y + (first + t) * stride, sums[t]);
    }
  }
}

/// The weights of 16 rows in one column, as `dequantize_block` computes them.
K_INLINE f32x16 weight_column(k_format format, const k_matrix *w, size_t tile, size_t column) {
  size_t block = column / 32;
  int k = (int)(column % 32);
  const uint8_t *codes = w->codes + tile * w->codes_stride + block * code_bytes(format);
  const uint8_t *high = w->high + tile * w->high_stride + block * high_bytes(format);
  const uint8_t *scales = w->scales + tile * w->scales_stride;
  i32x16 code = block_codes(format, codes, high, k / 4, k % 4);
  f32x16 d, m;
  if (format == K_FORMAT_Q6K) {
    const uint8_t *sub;
    block_scales_6k(scales, block, &d, &sub);
    return d * v_from_i8(sub + k / 16 * 16) * v_from_i32(code - 32);
  }
  block_scales(format, scales, block, &d, &m);
  return d * v_from_i32(code) + m;
}

/// The weights of 16 rows in the column that was asked for last: models have their outliers in few columns, so the next
/// token's is often the same.
typedef struct {
  uint32_t column;
  f32x16 weights;
} outlier_column;

/// What a token's sums start from: its outlier × the weights of that column.
K_INLINE f32x16 outlier_product(
    k_format format, const k_matrix *w, const k_activations *x, size_t tile, size_t token, outlier_column *last) {
  if (x->outliers == NULL) return v_set(0);
  k_outlier outlier = x->outliers[token];
  if (outlier.column != last->column) {
    last->column = outlier.column;
    last->weights = weight_column(format, w, tile, outlier.column);
  }
  return last->weights * outlier.value;
}

/// Defines `matmul_int8` by the path's `tiles`, an inlined function of the format and `matmul_int8`'s arguments: each
/// format becomes code of its own.
#define K_DEFINE_MATMUL_INT8(tiles)                                                                        \
  static void matmul_int8(                                                                                 \
      const k_matrix *w, const k_activations *x, uint32_t begin, uint32_t end, float *y, size_t stride) {  \
    switch (w->format) {                                                                                   \
      case K_FORMAT_Q4: tiles(K_FORMAT_Q4, w, x, begin, end, y, stride); break;                            \
      case K_FORMAT_Q5: tiles(K_FORMAT_Q5, w, x, begin, end, y, stride); break;                            \
      case K_FORMAT_Q8: tiles(K_FORMAT_Q8, w, x, begin, end, y, stride); break;                            \
      case K_FORMAT_Q4M: tiles(K_FORMAT_Q4M, w, x, begin, end, y, stride); break;                          \
      case K_FORMAT_Q5M: tiles(K_FORMAT_Q5M, w, x, begin, end, y, stride); break;                          \
      case K_FORMAT_Q4K: tiles(K_FORMAT_Q4K, w, x, begin, end, y, stride); break;                          \
      case K_FORMAT_Q5K: tiles(K_FORMAT_Q5K, w, x, begin, end, y, stride); break;                          \
      case K_FORMAT_Q6K: tiles(K_FORMAT_Q6K, w, x, begin, end, y, stride); break;                          \
      case K_FORMAT_F16:                                                                                   \
      case K_FORMAT_BF16:                                                                                  \
      case K_FORMAT_F32: matmul_float(w, x, begin, end, y, stride); break;                                 \
    }                                                                                                      \
  }

/// The table of the path that includes this.
#define K_DEFINE_TABLE(symbol, its_path, its_name)                                                          \
  const k_kernels symbol = {                                                                                \
      .path = its_path,                                                                                     \
      .name = its_name,                                                                                     \
      .rms_norm = rms_norm,                                                                                 \
      .quantize = quantize,                                                                                 \
      .gate = gate,                                                                                         \
      .rope = rope,                                                                                         \
      .store = store,                                                                                       \
      .store_column = store_column,                                                                         \
      .matmul_int8 = matmul_int8,                                                                           \
      .matmul_float = matmul_float,                                                                         \
      .attention = attention,                                                                               \
      .attention_merge = attention_merge,                                                                   \
  }
