#pragma once
#include "k_types.h"

enum {
  /// Positions that share one maximum and are merged as one, anchored at position 0.
  K_ATTENTION_SPLIT = 256,
  /// Queries (tokens × query heads) that one call may handle.
  K_ATTENTION_QUERIES = 64,
  K_ATTENTION_HEAD_SIZE = 256,
  /// Queries × head size that one call may handle.
  K_ATTENTION_STATE = 8192,
};

/// Asks for all splits, merged in place.
#define K_ATTENTION_ALL_SPLITS UINT32_MAX

/// One layer's attention over the paged pool.
typedef struct {
  /// `[token][head][head size]`, rotated and scaled.
  const float *queries;
  /// `[token][head][head size]`.
  float *output;
  const uint8_t *pool;
  size_t block_bytes;
  /// Where the layer's keys start in a block, `[kv head][head size][token]`: neighbouring tokens fill a register. Their
  /// scales follow, `[kv head][token]`, where the type has them.
  size_t keys_offset;
  /// Where its values start, `[kv head][token][head size]`, and their scales; they follow the keys.
  size_t values_offset;
  /// Block ids of all sequences.
  const int32_t *tables;
  uint32_t heads;
  uint32_t kv_heads;
  uint32_t head_size;
  uint32_t block_size;
  /// Positions that a token sees, itself included; 0 is all.
  uint32_t window;
  k_kv_dtype dtype;
  /// Results of single splits, records of `head_size` + 16 floats: maximum, sum, 14 unused, the weighted values.
  float *partials;
} k_attention;

/// Neighbouring tokens of one sequence that are attended together.
typedef struct {
  uint32_t token;
  uint32_t token_count;
  /// The first token's position.
  uint32_t position;
  /// Where the sequence's block ids start.
  uint32_t table;
  /// The one split to compute into `partials`, or `K_ATTENTION_ALL_SPLITS`.
  uint32_t split;
  uint32_t split_count;
  /// The first record in `partials`, laid out `[token][head][split]`.
  uint32_t partial;
} k_attention_item;
