// Paged attention, for whichever path includes this. What happens to one query depends on its own position alone: running
// maxima are updated at multiples of K_ATTENTION_CHUNK, partial results merged at multiples of K_ATTENTION_SPLIT.
#pragma once
#include <math.h>

#include "k_attention.h"
#include "k_vector.h"

enum { GROUP = 16 };

/// The running softmax of some queries.
typedef struct {
  float maximum[K_ATTENTION_QUERIES];
  float sum[K_ATTENTION_QUERIES];
  float values[K_ATTENTION_STATE];
} softmax_state;

typedef struct {
  const k_attention *attention;
  const k_attention_item *item;
  uint32_t kv_head;
  uint32_t queries;
  const float *query[K_ATTENTION_QUERIES];
  /// The positions that each query sees: [first, last).
  int32_t first[K_ATTENTION_QUERIES];
  int32_t last[K_ATTENTION_QUERIES];
} attention_tile;

static void reset(softmax_state *state, uint32_t queries, uint32_t head_size) {
  for (uint32_t i = 0; i < queries; i++) {
    state->maximum[i] = -INFINITY;
    state->sum[i] = 0;
  }
  memset(state->values, 0, sizeof(float) * queries * head_size);
}

/// Converts the rows of positions [begin, begin + count) to `f32`.
static void load_rows(const attention_tile *tile, size_t offset, int32_t begin, int32_t count, float *rows) {
  const k_attention *a = tile->attention;
  size_t size = a->head_size;
  size_t element = a->dtype == K_KV_F32 ? 4 : 2;
  const int32_t *table = a->tables + tile->item->table;
  for (int32_t i = 0; i < count; i++) {
    uint32_t position = (uint32_t)(begin + i);
    size_t slot = (size_t)tile->kv_head * a->block_size + position % a->block_size;
    const uint8_t *row = a->pool + (size_t)table[position / a->block_size] * a->block_bytes + offset + slot * size * element;
    float *to = rows + (size_t)i * size;
    switch (a->dtype) {
      case K_KV_F32: memcpy(to, row, size * 4); break;
      case K_KV_F16:
        for (size_t d = 0; d < size; d += 16) v_store(to + d, v_load_half(row + 2 * d));
        break;
      case K_KV_BF16:
        for (size_t d = 0; d < size; d += 16) v_store(to + d, v_load_bf16(row + 2 * d));
        break;
    }
  }
}

/// Scores of two queries against 8 rows: lanes 0 to 7 are the first query's.
K_INLINE f32x16 score_pair(const float *q0, const float *q1, const float *rows, size_t size) {
  f32x16 sums[16];
  for (int i = 0; i < 16; i++) sums[i] = v_set(0);
  for (size_t d = 0; d < size; d += 16) {
    f32x16 a = v_load(q0 + d), b = v_load(q1 + d);
#pragma clang loop unroll(full)
    for (int i = 0; i < 8; i++) {
      f32x16 k = v_load(rows + (size_t)i * size + d);
      sums[i] = v_fma(k, a, sums[i]);
      sums[i + 8] = v_fma(k, b, sums[i + 8]);
    }
  }
  return v_sum_each(sums);
}

K_INLINE f32x16 score_one(const float *q, const float *rows, size_t size) {
  f32x16 sums[16];
  for (int i = 0; i < 16; i++) sums[i] = v_set(0);
  for (size_t d = 0; d < size; d += 16) {
    f32x16 a = v_load(q + d);
#pragma clang loop unroll(full)
    for (int i = 0; i < 16; i++) sums[i] = v_fma(v_load(rows + (size_t)i * size + d), a, sums[i]);
  }
  return v_sum_each(sums);
}

static void score_rows(const attention_tile *tile, const float *rows, float *scores) {
  size_t size = tile->attention->head_size;
  uint32_t i = 0;
  for (; i + 2 <= tile->queries; i += 2) {
    float *first = scores + i * K_ATTENTION_CHUNK, *second = first + K_ATTENTION_CHUNK;
    for (size_t half = 0; half < 2; half++) {
      f32x16 pair = score_pair(tile->query[i], tile->query[i + 1], rows + half * 8 * size, size);
      memcpy(first + 8 * half, &pair, 32);
      memcpy(second + 8 * half, (const char *)&pair + 32, 32);
    }
  }
  if (i < tile->queries) v_store(scores + i * K_ATTENTION_CHUNK, score_one(tile->query[i], rows, size));
}

/// Turns a chunk's scores into weights relative to the query's new maximum, and scales what it has summed so far.
static void weigh(const attention_tile *tile, int32_t base, softmax_state *state, float *scores) {
  const i32x16 iota = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  size_t size = tile->attention->head_size;
  for (uint32_t q = 0; q < tile->queries; q++) {
    float *row = scores + q * K_ATTENTION_CHUNK;
    f32x16 s[K_ATTENTION_CHUNK / 16];
    f32x16 largest = v_set(-INFINITY);
    for (int i = 0; i < K_ATTENTION_CHUNK / 16; i++) {
      i32x16 position = iota + (base + 16 * i);
      i32x16 visible = (position >= tile->first[q]) & (position < tile->last[q]);
      s[i] = v_select(visible, v_load(row + 16 * i), v_set(-INFINITY));
      largest = v_max(largest, s[i]);
    }
    float maximum = v_largest(largest);
    maximum = maximum > state->maximum[q] ? maximum : state->maximum[q];
    if (maximum == -INFINITY) {
      memset(row, 0, sizeof(float) * K_ATTENTION_CHUNK);
      continue;
    }
    f32x16 sum = v_set(0);
    for (int i = 0; i < K_ATTENTION_CHUNK / 16; i++) {
      f32x16 weight = v_exp(s[i] - maximum);
      v_store(row + 16 * i, weight);
      sum += weight;
    }
    float correction = state->maximum[q] == -INFINITY ? 0.0f : s_exp(state->maximum[q] - maximum);
    state->sum[q] = state->sum[q] * correction + v_sum(sum);
    state->maximum[q] = maximum;
    if (correction != 1.0f) {
      float *values = state->values + q * size;
      for (size_t d = 0; d < size; d += 16) v_store(values + d, v_load(values + d) * correction);
    }
  }
}

/// values += weight × row, rows ascending, for `n` queries and a slab of 16 × `w` elements.
K_INLINE void accumulate(
    int n, int w, const float *scores, const float *rows, int32_t count, size_t size, size_t d, float *values) {
  f32x16 sums[4][4];
  for (int q = 0; q < n; q++) {
    for (int i = 0; i < w; i++) sums[q][i] = v_load(values + (size_t)q * size + d + 16 * (size_t)i);
  }
  for (int32_t t = 0; t < count; t++) {
    f32x16 row[4];
    for (int i = 0; i < w; i++) row[i] = v_load(rows + (size_t)t * size + d + 16 * (size_t)i);
    for (int q = 0; q < n; q++) {
      f32x16 weight = v_set(scores[q * K_ATTENTION_CHUNK + t]);
      for (int i = 0; i < w; i++) sums[q][i] = v_fma(weight, row[i], sums[q][i]);
    }
  }
  for (int q = 0; q < n; q++) {
    for (int i = 0; i < w; i++) v_store(values + (size_t)q * size + d + 16 * (size_t)i, sums[q][i]);
  }
}

static void accumulate_rows(
    const attention_tile *tile, const float *scores, const float *rows, int32_t count, float *values) {
  size_t size = tile->attention->head_size;
  for (uint32_t q = 0; q < tile->queries;) {
    uint32_t n = tile->queries - q >= 4 ? 4 : 1;
    const float *weights = scores + q * K_ATTENTION_CHUNK;
    float *to = values + q * size;
    size_t d = 0;
    for (; d + 64 <= size; d += 64) {
      if (n == 4) accumulate(4, 4, weights, rows, count, size, d, to);
      else accumulate(1, 4, weights, rows, count, size, d, to);
    }
    for (; d < size; d += 16) {
      if (n == 4) accumulate(4, 1, weights, rows, count, size, d, to);
      else accumulate(1, 1, weights, rows, count, size, d, to);
    }
    q += n;
  }
}

/// Attends positions [begin, end) of one split.
static void attend_split(const attention_tile *tile, int32_t begin, int32_t end, softmax_state *state) {
  const k_attention *a = tile->attention;
  float rows[GROUP * K_ATTENTION_HEAD_SIZE] __attribute__((aligned(64)));
  float scores[K_ATTENTION_QUERIES * K_ATTENTION_CHUNK] __attribute__((aligned(64)));
  for (int32_t base = begin / K_ATTENTION_CHUNK * K_ATTENTION_CHUNK; base < end; base += K_ATTENTION_CHUNK) {
    int32_t stop = base + K_ATTENTION_CHUNK < end ? base + K_ATTENTION_CHUNK : end;
    for (int32_t group = base; group < stop; group += GROUP) {
      int32_t count = stop - group < GROUP ? stop - group : GROUP;
      load_rows(tile, a->keys_offset, group, count, rows);
      // Lanes without a row are masked; whatever they hold is read, so it must be initialised.
      if (count < GROUP) memset(rows + (size_t)count * a->head_size, 0, sizeof(float) * a->head_size * (size_t)(GROUP - count));
      score_rows(tile, rows, scores + (group - base));
    }
    for (int32_t group = base + (stop - base + GROUP - 1) / GROUP * GROUP; group < base + K_ATTENTION_CHUNK; group += GROUP) {
      for (uint32_t q = 0; q < tile->queries; q++) v_store(scores + q * K_ATTENTION_CHUNK + (group - base), v_set(0));
    }
    weigh(tile, base, state, scores);
    for (int32_t group = base; group < stop; group += GROUP) {
      int32_t count = stop - group < GROUP ? stop - group : GROUP;
      load_rows(tile, a->values_offset, group, count, rows);
      accumulate_rows(tile, scores + (group - base), rows, count, state->values);
    }
  }
}

/// Adds a split's result to what earlier splits gave, for one query.
static void merge(
    float *maximum, float *sum, float *values, float split_maximum, float split_sum, const float *split_values, size_t size) {
  if (split_maximum == -INFINITY) return;
  float largest = split_maximum > *maximum ? split_maximum : *maximum;
  float before = *maximum == -INFINITY ? 0.0f : s_exp(*maximum - largest);
  float now = s_exp(split_maximum - largest);
  *sum = *sum * before + split_sum * now;
  *maximum = largest;
  for (size_t d = 0; d < size; d += 16) {
    v_store(values + d, v_fma(v_load(split_values + d), v_set(now), v_load(values + d) * before));
  }
}

static void finish(float sum, const float *values, size_t size, float *output) {
  float inverse = 1.0f / sum;
  for (size_t d = 0; d < size; d += 16) v_store(output + d, v_load(values + d) * inverse);
}

static void make_tile(
    const k_attention *attention, const k_attention_item *item, uint32_t kv_head, attention_tile *tile) {
  uint32_t group = attention->heads / attention->kv_heads;
  tile->attention = attention;
  tile->item = item;
  tile->kv_head = kv_head;
  tile->queries = 0;
  for (uint32_t t = 0; t < item->token_count; t++) {
    int32_t position = (int32_t)(item->position + t);
    int32_t window = (int32_t)attention->window;
    for (uint32_t g = 0; g < group; g++) {
      size_t head = (size_t)(item->token + t) * attention->heads + kv_head * group + g;
      tile->query[tile->queries] = attention->queries + head * attention->head_size;
      tile->first[tile->queries] = window > 0 && position >= window ? position + 1 - window : 0;
      tile->last[tile->queries] = position + 1;
      tile->queries++;
    }
  }
}

static float *partial_of(const k_attention *a, const k_attention_item *item, uint32_t kv_head, uint32_t q, uint32_t split) {
  uint32_t group = a->heads / a->kv_heads;
  size_t head = (size_t)(q / group) * a->heads + kv_head * group + q % group;
  return a->partials + (item->partial + head * item->split_count + split) * (a->head_size + 16);
}

static void attention(const k_attention *attention, const k_attention_item *item, uint32_t kv_head) {
  attention_tile tile;
  softmax_state split;
  make_tile(attention, item, kv_head, &tile);
  size_t size = attention->head_size;
  int32_t first = tile.first[0];
  int32_t last = tile.last[tile.queries - 1];
  if (item->split != K_ATTENTION_ALL_SPLITS) {
    int32_t begin = (int32_t)item->split * K_ATTENTION_SPLIT;
    int32_t end = begin + K_ATTENTION_SPLIT < last ? begin + K_ATTENTION_SPLIT : last;
    reset(&split, tile.queries, attention->head_size);
    if (end > first) attend_split(&tile, first > begin ? first : begin, end, &split);
    for (uint32_t q = 0; q < tile.queries; q++) {
      float *record = partial_of(attention, item, kv_head, q, item->split);
      record[0] = split.maximum[q];
      record[1] = split.sum[q];
      memcpy(record + 16, split.values + q * size, sizeof(float) * size);
    }
    return;
  }
  softmax_state total;
  reset(&total, tile.queries, attention->head_size);
  for (int32_t begin = first / K_ATTENTION_SPLIT * K_ATTENTION_SPLIT; begin < last; begin += K_ATTENTION_SPLIT) {
    int32_t end = begin + K_ATTENTION_SPLIT < last ? begin + K_ATTENTION_SPLIT : last;
    reset(&split, tile.queries, attention->head_size);
    attend_split(&tile, first > begin ? first : begin, end, &split);
    for (uint32_t q = 0; q < tile.queries; q++) {
      merge(
          &total.maximum[q], &total.sum[q], total.values + q * size, split.maximum[q], split.sum[q],
          split.values + q * size, size);
    }
  }
  for (uint32_t q = 0; q < tile.queries; q++) {
    // A query's place in the output is its place in the input.
    finish(total.sum[q], total.values + q * size, size, attention->output + (tile.query[q] - attention->queries));
  }
}

static void attention_merge(const k_attention *attention, const k_attention_item *item, uint32_t kv_head) {
  attention_tile tile;
  float values[K_ATTENTION_HEAD_SIZE] __attribute__((aligned(64)));
  make_tile(attention, item, kv_head, &tile);
  size_t size = attention->head_size;
  for (uint32_t q = 0; q < tile.queries; q++) {
    float maximum = -INFINITY, sum = 0;
    memset(values, 0, sizeof(float) * size);
    for (uint32_t split = 0; split < item->split_count; split++) {
      const float *record = partial_of(attention, item, kv_head, q, split);
      merge(&maximum, &sum, values, record[0], record[1], record + 16, size);
    }
    finish(sum, values, size, attention->output + (tile.query[q] - attention->queries));
  }
}
