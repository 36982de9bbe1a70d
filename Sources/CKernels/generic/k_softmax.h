// The softmax of attention: weights within a split, and the merging of splits.
#pragma once
#include "k_attention.h"
#include "k_vector.h"

/// Below every score, and finite, so that the difference of two is a number.
#define LOWEST -1e30f

/// What some queries have seen so far: Σ 2^(score × log2 e − maximum), and the values weighted by it.
typedef struct {
  float maximum[K_ATTENTION_QUERIES];
  float sum[K_ATTENTION_QUERIES];
  float values[K_ATTENTION_STATE];
} softmax_state;

static void reset(softmax_state *state, uint32_t queries, size_t head_size) {
  for (uint32_t q = 0; q < (queries + 15) / 16 * 16; q++) {
    state->maximum[q] = LOWEST;
    state->sum[q] = 0;
  }
  memset(state->values, 0, sizeof(float) * queries * head_size);
}

K_INLINE i32x16 visible_lanes(int32_t position, int32_t first, int32_t last) {
  const i32x16 iota = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  return (iota + position >= first) & (iota + position < last);
}

/// Turns one query's scores at [from, to) into weights relative to the largest that it sees: those in [first, last).
/// Lanes that it does not see may hold anything, and get weight 0.
K_INLINE void weigh(
    float *scores, int32_t from, int32_t to, int32_t first, int32_t last, float *maximum, float *sum) {
  const float log2e = 1.44269504f;
  f32x16 largest = v_set(LOWEST);
  for (int32_t i = from; i < to; i += 16) {
    f32x16 s = v_load(scores + i);
    if (i < first || i + 16 > last) s = v_select(visible_lanes(i, first, last), s, v_set(LOWEST));
    largest = v_max(largest, s);
  }
  float most = v_largest(largest) * log2e;
  f32x16 sums = v_set(0);
  for (int32_t i = from; i < to; i += 16) {
    f32x16 weight = v_exp2(v_fma(v_load(scores + i), v_set(log2e), v_set(-most)));
    if (i < first || i + 16 > last) weight = v_select(visible_lanes(i, first, last), weight, v_set(0));
    v_store(scores + i, weight);
    sums += weight;
  }
  *maximum = most;
  *sum = v_sum(sums);
}

/// Adds a split to what earlier splits gave.
static void merge(softmax_state *total, const softmax_state *split, uint32_t queries, size_t size) {
  float before[K_ATTENTION_QUERIES], now[K_ATTENTION_QUERIES];
  for (uint32_t q = 0; q < queries; q += 16) {
    f32x16 earlier = v_load(total->maximum + q), later = v_load(split->maximum + q);
    f32x16 largest = v_max(earlier, later);
    f32x16 scale = v_exp2(earlier - largest), scale_later = v_exp2(later - largest);
    v_store(total->maximum + q, largest);
    v_store(total->sum + q, v_load(total->sum + q) * scale + v_load(split->sum + q) * scale_later);
    v_store(before + q, scale);
    v_store(now + q, scale_later);
  }
  for (uint32_t q = 0; q < queries; q++) {
    float *to = total->values + q * size;
    const float *from = split->values + q * size;
    for (size_t d = 0; d < size; d += 16) {
      v_store(to + d, v_fma(v_load(from + d), v_set(now[q]), v_load(to + d) * before[q]));
    }
  }
}
