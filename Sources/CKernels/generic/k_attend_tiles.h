// The products of attention in register tiles, and how stored keys and values are read.
#pragma once
#include "k_attention.h"
#include "k_vector.h"

enum {
  /// Positions of one register, and those whose keys lie side by side when the block size is a multiple of it.
  GROUP = 16,
  /// Queries of one register tile.
#if defined(K_PATH_IS_AVX512)
  TILE_QUERIES = 8,
#else
  TILE_QUERIES = 6,
#endif
};

/// Registers of 16 lanes side by side in a tile of n queries: as many sums as the path has registers for.
K_INLINE int tile_width(int n) {
#if defined(K_PATH_IS_AVX512)
  return n <= 6 ? 4 : 2;
#else
  return n <= 2 ? 2 : 1;
#endif
}

/// How many of the remaining queries the next tile takes: full tiles, and the rest evenly.
K_INLINE uint32_t tile_queries(uint32_t remaining) {
  if (remaining <= TILE_QUERIES) return remaining;
  return remaining >= 12 ? 6 : (remaining + 1) / 2;
}

/// Sixteen stored elements as `f32`, scales apart.
K_INLINE f32x16 v_load_stored(k_kv_dtype dtype, const void *from) {
  switch (dtype) {
    case K_KV_F32: return v_load(from);
    case K_KV_F16: return v_load_half(from);
    case K_KV_BF16: return v_load_bf16(from);
    case K_KV_FP8: return v_load_fp8(from);
    case K_KV_INT8: return v_from_i8(from);
  }
}

/// Some groups of 16 positions: `from[g]` is where group g's keys or values start.
typedef struct {
  const uint8_t *from[4];
  /// What will be read next, a piece of 16 × head size elements for each group: block tables hide it from the
  /// processor.
  const uint8_t *ahead[4];
  /// Bytes between rows: of keys for one d, of values for one position.
  size_t stride;
} stored_groups;

/// Asks for stored elements unless they are `f32`: so are converted ones, which a cache holds already.
K_INLINE void prefetch_stored(k_kv_dtype dtype, const uint8_t *at) {
  if (dtype != K_KV_F32) prefetch_line(at);
}

/// Scores of n queries against w groups of positions: for each one chain of multiply-adds, d ascending.
K_INLINE void score_tile(
    k_kv_dtype dtype, int n, int w, const float *queries, size_t size, const stored_groups *keys, int group,
    float *scores) {
  f32x16 sums[TILE_QUERIES][4];
#pragma clang loop unroll(full)
  for (int q = 0; q < n; q++) {
#pragma clang loop unroll(full)
    for (int i = 0; i < w; i++) sums[q][i] = v_set(0);
  }
  const uint8_t *from[4], *ahead[4];
#pragma clang loop unroll(full)
  for (int i = 0; i < w; i++) {
    from[i] = keys->from[group + i];
    ahead[i] = keys->ahead[group + i];
  }
  for (size_t d = 0; d < size; d++) {
    f32x16 column[4];
#pragma clang loop unroll(full)
    for (int i = 0; i < w; i++) {
      column[i] = v_load_stored(dtype, from[i] + d * keys->stride);
      prefetch_stored(dtype, ahead[i] + d * GROUP * k_kv_element_bytes(dtype));
    }
#pragma clang loop unroll(full)
    for (int q = 0; q < n; q++) {
      f32x16 x = v_set(queries[(size_t)q * size + d]);
#pragma clang loop unroll(full)
      for (int i = 0; i < w; i++) sums[q][i] = v_fma(column[i], x, sums[q][i]);
    }
  }
#pragma clang loop unroll(full)
  for (int q = 0; q < n; q++) {
#pragma clang loop unroll(full)
    for (int i = 0; i < w; i++) v_store(scores + q * K_ATTENTION_SPLIT + GROUP * i, sums[q][i]);
  }
}

/// values += weight × row, positions ascending, for n queries and 16 × w elements of each row.
K_INLINE void value_tile(
    k_kv_dtype dtype, int n, int w, const float *weights, const stored_groups *rows, size_t offset, int32_t count,
    float *values, size_t size) {
  f32x16 sums[TILE_QUERIES][4];
#pragma clang loop unroll(full)
  for (int q = 0; q < n; q++) {
#pragma clang loop unroll(full)
    for (int i = 0; i < w; i++) sums[q][i] = v_load(values + (size_t)q * size + 16 * i);
  }
  for (int32_t first = 0; first < count; first += GROUP) {
    const uint8_t *from = rows->from[first / GROUP] + offset;
    const uint8_t *ahead = rows->ahead[first / GROUP] + offset;
    int32_t end = first + GROUP < count ? first + GROUP : count;
    for (int32_t t = first; t < end; t++, from += rows->stride, ahead += rows->stride) {
      f32x16 row[4];
#pragma clang loop unroll(full)
      for (int i = 0; i < w; i += 2) prefetch_stored(dtype, ahead + (size_t)(16 * i) * k_kv_element_bytes(dtype));
#pragma clang loop unroll(full)
      for (int i = 0; i < w; i++) row[i] = v_load_stored(dtype, from + (size_t)(16 * i) * k_kv_element_bytes(dtype));
#pragma clang loop unroll(full)
      for (int q = 0; q < n; q++) {
        f32x16 weight = v_set(weights[q * K_ATTENTION_SPLIT + t]);
#pragma clang loop unroll(full)
        for (int i = 0; i < w; i++) sums[q][i] = v_fma(weight, row[i], sums[q][i]);
      }
    }
  }
#pragma clang loop unroll(full)
  for (int q = 0; q < n; q++) {
#pragma clang loop unroll(full)
    for (int i = 0; i < w; i++) v_store(values + (size_t)q * size + 16 * i, sums[q][i]);
  }
}

K_INLINE void score_groups(
    k_kv_dtype dtype, int n, const float *queries, size_t size, const stored_groups *keys, int groups, float *scores) {
  int g = 0;
  for (; g + tile_width(n) <= groups; g += tile_width(n)) {
    score_tile(dtype, n, tile_width(n), queries, size, keys, g, scores + GROUP * g);
  }
  if (tile_width(n) > 2 && g + 2 <= groups) {
    score_tile(dtype, n, 2, queries, size, keys, g, scores + GROUP * g);
    g += 2;
  }
  if (g < groups) score_tile(dtype, n, 1, queries, size, keys, g, scores + GROUP * g);
}

K_INLINE void value_groups(
    k_kv_dtype dtype, int n, const float *weights, const stored_groups *rows, int32_t count, float *values,
    size_t size) {
  size_t d = 0, element = k_kv_element_bytes(dtype), width = 16 * (size_t)tile_width(n);
  for (; d + width <= size; d += width) {
    value_tile(dtype, n, tile_width(n), weights, rows, d * element, count, values + d, size);
  }
  if (width > 32 && d + 32 <= size) {
    value_tile(dtype, n, 2, weights, rows, d * element, count, values + d, size);
    d += 32;
  }
  if (d < size) value_tile(dtype, n, 1, weights, rows, d * element, count, values + d, size);
}

/// Calls `function(dtype, n, …)` with both as constants, so that each pair becomes code of its own.
#define TILE_OF(function, dtype, n, ...)                      \
  switch (n) {                                                \
    case 1: function(dtype, 1, __VA_ARGS__); break;           \
    case 2: function(dtype, 2, __VA_ARGS__); break;           \
    case 3: function(dtype, 3, __VA_ARGS__); break;           \
    case 4: function(dtype, 4, __VA_ARGS__); break;           \
    case 5: function(dtype, 5, __VA_ARGS__); break;           \
    case 6: function(dtype, 6, __VA_ARGS__); break;           \
    case 7:                                                   \
      if (TILE_QUERIES >= 7) function(dtype, 7, __VA_ARGS__); \
      break;                                                  \
    default:                                                  \
      if (TILE_QUERIES >= 8) function(dtype, 8, __VA_ARGS__); \
      break;                                                  \
  }

#define TILE_OF_DTYPE(function, dtype, n, ...)                                \
  switch (dtype) {                                                            \
    case K_KV_F32: TILE_OF(function, K_KV_F32, n, __VA_ARGS__); break;        \
    case K_KV_F16: TILE_OF(function, K_KV_F16, n, __VA_ARGS__); break;        \
    case K_KV_BF16: TILE_OF(function, K_KV_BF16, n, __VA_ARGS__); break;      \
    case K_KV_FP8: TILE_OF(function, K_KV_FP8, n, __VA_ARGS__); break;        \
    case K_KV_INT8: TILE_OF(function, K_KV_INT8, n, __VA_ARGS__); break;      \
  }

/// Scores of all queries against up to four groups of positions.
static void score_all(
    k_kv_dtype dtype, const float *queries, uint32_t count, size_t size, const stored_groups *keys, int groups,
    float *scores) {
  for (uint32_t q = 0, n; q < count; q += n) {
    n = tile_queries(count - q);
    const float *from = queries + q * size;
    TILE_OF_DTYPE(score_groups, dtype, n, from, size, keys, groups, scores + q * K_ATTENTION_SPLIT)
  }
}

/// Adds the weighted rows of `positions` positions to each query's values.
static void accumulate_all(
    k_kv_dtype dtype, const float *weights, uint32_t count, size_t size, const stored_groups *rows, int32_t positions,
    float *values) {
  for (uint32_t q = 0, n; q < count; q += n) {
    n = tile_queries(count - q);
    const float *from = weights + q * K_ATTENTION_SPLIT;
    TILE_OF_DTYPE(value_groups, dtype, n, from, rows, positions, values + q * size, size)
  }
}

/// Multiplies each query's scores, or its weights, at `positions` positions by their scales.
static void scale_all(float *scores, uint32_t count, const float *scales, int32_t positions) {
  for (int32_t i = 0; i < positions; i += GROUP) {
    f32x16 scale = v_load(scales + i);
    for (uint32_t q = 0; q < count; q++) {
      float *at = scores + q * K_ATTENTION_SPLIT + i;
      v_store(at, v_load(at) * scale);
    }
  }
}
