// Paged attention, for whichever path includes this. What happens to one query depends on its own position alone:
// softmax is taken over splits of K_ATTENTION_SPLIT positions, anchored at 0, and splits are merged in their order.
#pragma once
#include "k_attend_tiles.h"
#include "k_softmax.h"

enum {
  /// Positions whose keys or values are converted together.
  BATCH = 64,
  BATCH_GROUPS = BATCH / GROUP,
  /// Floats between two rows of converted keys: 16 more, for what a load at a block's end reads in excess.
  KEY_STRIDE = BATCH + GROUP,
  /// With no more queries, converting again for each register tile is cheaper than waiting for memory: a small chunk of a
  /// prompt reads its whole context but once.
  DIRECT_QUERIES = 4 * 6,
};

/// What one call reads: positions [first, last) of one kv head.
typedef struct {
  const k_attention *attention;
  const k_attention_item *item;
  uint32_t kv_head;
  int32_t first;
  int32_t last;
} attention_span;

typedef struct {
  attention_span span;
  uint32_t count;
  /// Whether keys and values are used where they lie; otherwise they are converted once for all queries.
  bool direct;
  /// The positions that each query sees: [first, last).
  int32_t first[K_ATTENTION_QUERIES];
  int32_t last[K_ATTENTION_QUERIES];
  /// Where each query's values go.
  float *output[K_ATTENTION_QUERIES];
  float queries[K_ATTENTION_STATE];
} attention_tile;

/// The kv head's part of the block that holds `position`, in the plane at `offset`.
K_INLINE const uint8_t *block_of(const attention_span *span, size_t offset, int32_t position) {
  const k_attention *a = span->attention;
  int32_t block = a->tables[span->item->table + (uint32_t)position / a->block_size];
  size_t head_bytes = (size_t)a->block_size * a->head_size * k_kv_element_bytes(a->dtype);
  return a->pool + (size_t)block * a->block_bytes + offset + span->kv_head * head_bytes;
}

K_INLINE void convert_keys(
    k_kv_dtype dtype, const uint8_t *from, size_t stride, int32_t run, size_t size, float *keys) {
  for (size_t d = 0; d < size; d++) {
    for (int32_t i = 0; i < run; i += GROUP) {
      v_store(keys + d * KEY_STRIDE + i, v_load_stored(dtype, from + d * stride + (size_t)i * k_kv_element_bytes(dtype)));
    }
  }
}

/// Converts the keys of positions [begin, end), at most BATCH, to `f32`, `[d][position]`. A run's excess lanes hold
/// what follows in the block, its values at the last: the next run overwrites them, or nothing reads them unmasked.
static void load_keys(const attention_span *span, int32_t begin, int32_t end, float *keys) {
  const k_attention *a = span->attention;
  size_t element = k_kv_element_bytes(a->dtype), stride = a->block_size * element;
  for (int32_t position = begin; position < end;) {
    int32_t slot = (int32_t)((uint32_t)position % a->block_size);
    int32_t run = (int32_t)a->block_size - slot < end - position ? (int32_t)a->block_size - slot : end - position;
    const uint8_t *from = block_of(span, a->keys_offset, position) + (size_t)slot * element;
    float *to = keys + (position - begin);
    switch (a->dtype) {
      case K_KV_F32: convert_keys(K_KV_F32, from, stride, run, a->head_size, to); break;
      case K_KV_F16: convert_keys(K_KV_F16, from, stride, run, a->head_size, to); break;
      case K_KV_BF16: convert_keys(K_KV_BF16, from, stride, run, a->head_size, to); break;
      case K_KV_FP8: convert_keys(K_KV_FP8, from, stride, run, a->head_size, to); break;
      case K_KV_INT8: convert_keys(K_KV_INT8, from, stride, run, a->head_size, to); break;
    }
    position += run;
  }
}

K_INLINE void convert_values(k_kv_dtype dtype, const uint8_t *from, size_t elements, float *values) {
  for (size_t i = 0; i < elements; i += 16) {
    v_store(values + i, v_load_stored(dtype, from + i * k_kv_element_bytes(dtype)));
  }
}

/// Converts the values of positions [begin, end), at most BATCH, to `f32`, `[position][d]`.
static void load_values(const attention_span *span, int32_t begin, int32_t end, float *values) {
  const k_attention *a = span->attention;
  size_t row_bytes = a->head_size * k_kv_element_bytes(a->dtype);
  for (int32_t position = begin; position < end;) {
    int32_t slot = (int32_t)((uint32_t)position % a->block_size);
    int32_t run = (int32_t)a->block_size - slot < end - position ? (int32_t)a->block_size - slot : end - position;
    const uint8_t *from = block_of(span, a->values_offset, position) + (size_t)slot * row_bytes;
    size_t elements = (size_t)run * a->head_size;
    switch (a->dtype) {
      case K_KV_F32: convert_values(K_KV_F32, from, elements, values); break;
      case K_KV_F16: convert_values(K_KV_F16, from, elements, values); break;
      case K_KV_BF16: convert_values(K_KV_BF16, from, elements, values); break;
      case K_KV_FP8: convert_values(K_KV_FP8, from, elements, values); break;
      case K_KV_INT8: convert_values(K_KV_INT8, from, elements, values); break;
    }
    values += elements;
    position += run;
  }
}

/// The scales of positions [begin, end), at most BATCH, of the plane at `offset`. Lanes beyond are 0.
static void load_scales(const attention_span *span, size_t offset, int32_t begin, int32_t end, float *scales) {
  const k_attention *a = span->attention;
  uint16_t halves[BATCH] = {0};
  size_t plane = (size_t)a->kv_heads * a->block_size * a->head_size * k_kv_element_bytes(a->dtype);
  for (int32_t position = begin; position < end;) {
    int32_t slot = (int32_t)((uint32_t)position % a->block_size);
    int32_t run = (int32_t)a->block_size - slot < end - position ? (int32_t)a->block_size - slot : end - position;
    int32_t block = a->tables[span->item->table + (uint32_t)position / a->block_size];
    const uint8_t *from = a->pool + (size_t)block * a->block_bytes + offset + plane
                          + ((size_t)span->kv_head * a->block_size + (size_t)slot) * k_kv_scale_bytes(a->dtype);
    memcpy(halves + (position - begin), from, (size_t)run * sizeof *halves);
    position += run;
  }
  // fp8 is read as halves, which is 2^8 too small.
  f32x16 factor = v_set(a->dtype == K_KV_FP8 ? 256.0f : 1.0f);
  for (int32_t i = 0; i < end - begin; i += GROUP) v_store(scales + i, v_load_half(halves + i) * factor);
}

/// Finds the groups of positions [begin, end), at most BATCH, of the plane at `offset`; `scale` is the bytes by which
/// a position moves within it.
K_INLINE void find_groups(
    const attention_span *span, size_t offset, int32_t begin, int32_t end, size_t scale, const uint8_t **groups) {
  for (int32_t position = begin; position < end; position += GROUP) {
    size_t slot = (uint32_t)position % span->attention->block_size;
    groups[(position - begin) / GROUP] = block_of(span, offset, position) + slot * scale;
  }
}

/// The end of the batch that starts at `at`. Where groups are blocks, what is left up to `end` is cut into batches of
/// nearly the same size, so that each can ask for the next; of larger blocks what is asked for is whole.
K_INLINE int32_t batch_end(const attention_span *span, int32_t at, int32_t end) {
  int32_t groups = (end - at + GROUP - 1) / GROUP, batches = (groups + BATCH_GROUPS - 1) / BATCH_GROUPS;
  int32_t stop = at + (span->attention->block_size == GROUP ? (groups + batches - 1) / batches * GROUP : BATCH);
  return stop < end ? stop : end;
}

/// Names what is read after the batch in `groups`: the next batch of the plane's positions from `next` on, below `stop`;
/// where there is none, themselves. The batch will ask for `asked` groups of it; this asks for the others at once.
K_INLINE void look_ahead(
    const attention_span *span, size_t plane, int32_t next, int32_t stop, int32_t asked, stored_groups *groups) {
  size_t bytes = span->attention->head_size * k_kv_element_bytes(span->attention->dtype);
  int32_t split_end = (next / K_ATTENTION_SPLIT + 1) * K_ATTENTION_SPLIT;
  if (stop > split_end) stop = split_end;
  for (int g = 0; g < BATCH_GROUPS; g++) groups->ahead[g] = groups->from[g];
  if (next >= stop) return;
  stop = batch_end(span, next, stop);
  find_groups(span, plane, next, stop, bytes, groups->ahead);
  for (int32_t g = asked; g * GROUP < stop - next; g++) {
    for (size_t i = 0; i < GROUP * bytes; i += 64) prefetch_line(groups->ahead[g] + i);
  }
}

/// Attends those of the span's positions that are in the split from `base` on. `next` is what the thread reads after the
/// span, or null.
static void attend_split(
    const attention_tile *tile, int32_t base, const attention_span *next, softmax_state *state) {
  const attention_span *span = &tile->span;
  const k_attention *a = span->attention;
  size_t size = a->head_size;
  float scores[K_ATTENTION_QUERIES * K_ATTENTION_SPLIT] __attribute__((aligned(64)));
  float converted[K_ATTENTION_HEAD_SIZE * KEY_STRIDE] __attribute__((aligned(64)));
  float scales[BATCH] __attribute__((aligned(64)));
  stored_groups groups;
  bool scaled = k_kv_scale_bytes(a->dtype) > 0;
  int32_t begin = span->first > base ? span->first / GROUP * GROUP : base;
  int32_t end = base + K_ATTENTION_SPLIT < span->last ? base + K_ATTENTION_SPLIT : span->last;
  k_kv_dtype dtype = tile->direct ? a->dtype : K_KV_F32;
  size_t element = k_kv_element_bytes(dtype);
  for (int g = 0; g < BATCH_GROUPS; g++) {
    groups.from[g] = groups.ahead[g] = (const uint8_t *)(converted + g * GROUP);
  }
  groups.stride = tile->direct ? a->block_size * element : KEY_STRIDE * element;
  for (int32_t at = begin, stop; at < end; at = stop) {
    stop = batch_end(span, at, end);
    if (tile->direct) {
      int32_t asked = (stop - at + GROUP - 1) / GROUP;
      find_groups(span, a->keys_offset, at, stop, element, groups.from);
      if (stop < end) look_ahead(span, a->keys_offset, stop, end, asked, &groups);
      else look_ahead(span, a->values_offset, begin, end, asked, &groups);
    } else {
      load_keys(span, at, stop, converted);
    }
    score_all(dtype, tile->queries, tile->count, size, &groups, (stop - at + GROUP - 1) / GROUP, scores + (at - base));
    if (scaled) {
      load_scales(span, a->keys_offset, at, stop, scales);
      scale_all(scores + (at - base), tile->count, scales, stop - at);
    }
  }
  for (uint32_t q = 0; q < tile->count; q++) {
    weigh(
        scores + q * K_ATTENTION_SPLIT, begin - base, end - base, tile->first[q] - base, tile->last[q] - base,
        &state->maximum[q], &state->sum[q]);
  }
  for (int g = 0; g < BATCH_GROUPS; g++) groups.from[g] = (const uint8_t *)(converted + (size_t)(g * GROUP) * size);
  groups.stride = size * element;
  for (int32_t at = begin, stop; at < end; at = stop) {
    stop = batch_end(span, at, end);
    if (tile->direct) {
      find_groups(span, a->values_offset, at, stop, groups.stride, groups.from);
      int32_t asked = (stop - at) / GROUP;
      if (stop < end) look_ahead(span, a->values_offset, stop, end, asked, &groups);
      else if (end < span->last || next == NULL) look_ahead(span, a->keys_offset, end, span->last, asked, &groups);
      else look_ahead(next, a->keys_offset, next->first / GROUP * GROUP, next->last, asked, &groups);
    } else {
      load_values(span, at, stop, converted);
    }
    // Folded into the weights, whose sum is taken already.
    if (scaled) {
      load_scales(span, a->values_offset, at, stop, scales);
      scale_all(scores + (at - base), tile->count, scales, stop - at);
    }
    accumulate_all(dtype, scores + (at - base), tile->count, size, &groups, stop - at, state->values);
  }
}

/// The first position that a token at `position` sees.
K_INLINE int32_t first_seen(const k_attention *attention, int32_t position) {
  int32_t window = (int32_t)attention->window;
  return window > 0 && position >= window ? position + 1 - window : 0;
}

static attention_span span_of(const k_attention *attention, const k_attention_item *item, uint32_t kv_head) {
  int32_t position = (int32_t)item->position;
  attention_span span = {
      .attention = attention,
      .item = item,
      .kv_head = kv_head,
      .first = first_seen(attention, position),
      .last = position + (int32_t)item->token_count,
  };
  if (item->split != K_ATTENTION_ALL_SPLITS) {
    int32_t begin = (int32_t)item->split * K_ATTENTION_SPLIT;
    if (begin > span.first) span.first = begin;
    if (begin + K_ATTENTION_SPLIT < span.last) span.last = begin + K_ATTENTION_SPLIT;
  }
  return span;
}

static void make_tile(
    const k_attention *attention, const k_attention_item *item, uint32_t kv_head, attention_tile *tile) {
  uint32_t group = attention->heads / attention->kv_heads;
  size_t size = attention->head_size;
  tile->span = span_of(attention, item, kv_head);
  tile->count = 0;
  for (uint32_t t = 0; t < item->token_count; t++) {
    int32_t position = (int32_t)(item->position + t);
    for (uint32_t g = 0; g < group; g++) {
      size_t head = ((size_t)(item->token + t) * attention->heads + kv_head * group + g) * size;
      memcpy(tile->queries + tile->count * size, attention->queries + head, size * sizeof(float));
      tile->output[tile->count] = attention->output + head;
      tile->first[tile->count] = first_seen(attention, position);
      tile->last[tile->count] = position + 1;
      tile->count++;
    }
  }
  tile->direct = tile->count <= DIRECT_QUERIES && attention->block_size % GROUP == 0;
}

static float *partial_of(
    const k_attention *a, const k_attention_item *item, uint32_t kv_head, uint32_t q, uint32_t split) {
  uint32_t group = a->heads / a->kv_heads;
  size_t head = (size_t)(q / group) * a->heads + kv_head * group + q % group;
  return a->partials + (item->partial + head * item->split_count + split) * (a->head_size + 16);
}

static void finish(const attention_tile *tile, const softmax_state *total) {
  size_t size = tile->span.attention->head_size;
  for (uint32_t q = 0; q < tile->count; q++) {
    float inverse = 1.0f / total->sum[q];
    for (size_t d = 0; d < size; d += 16) {
      v_store(tile->output[q] + d, v_load(total->values + q * size + d) * inverse);
    }
  }
}

static void attention(
    const k_attention *attention, const k_attention_item *item, uint32_t kv_head, const k_attention_item *next_item,
    uint32_t next_kv_head) {
  attention_tile tile;
  attention_span following;
  const attention_span *next = NULL;
  softmax_state split;
  make_tile(attention, item, kv_head, &tile);
  if (next_item != NULL) {
    following = span_of(attention, next_item, next_kv_head);
    next = &following;
  }
  size_t size = attention->head_size;
  int32_t first = tile.span.first, last = tile.span.last;
  if (item->split != K_ATTENTION_ALL_SPLITS) {
    reset(&split, tile.count, size);
    if (first < last) attend_split(&tile, (int32_t)item->split * K_ATTENTION_SPLIT, next, &split);
    for (uint32_t q = 0; q < tile.count; q++) {
      float *record = partial_of(attention, item, kv_head, q, item->split);
      record[0] = split.maximum[q];
      record[1] = split.sum[q];
      memcpy(record + 16, split.values + q * size, sizeof(float) * size);
    }
    return;
  }
  softmax_state total;
  reset(&total, tile.count, size);
  for (int32_t base = first / K_ATTENTION_SPLIT * K_ATTENTION_SPLIT; base < last; base += K_ATTENTION_SPLIT) {
    reset(&split, tile.count, size);
    attend_split(&tile, base, next, &split);
    merge(&total, &split, tile.count, size);
  }
  finish(&tile, &total);
}

static void attention_merge(const k_attention *attention, const k_attention_item *item, uint32_t kv_head) {
  attention_tile tile;
  softmax_state split, total;
  make_tile(attention, item, kv_head, &tile);
  size_t size = attention->head_size;
  reset(&total, tile.count, size);
  reset(&split, tile.count, 0);
  for (uint32_t index = 0; index < item->split_count; index++) {
    for (uint32_t q = 0; q < tile.count; q++) {
      const float *record = partial_of(attention, item, kv_head, q, index);
      split.maximum[q] = record[0];
      split.sum[q] = record[1];
      memcpy(split.values + q * size, record + 16, sizeof(float) * size);
    }
    merge(&total, &split, tile.count, size);
  }
  finish(&tile, &total);
}
