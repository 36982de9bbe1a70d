// Norm, quantisation, gating, rotation and storing, for whichever path includes this.
#pragma once
#include <math.h>

#include "k_kernels.h"
#include "k_vector.h"

static void rms_norm(const float *x, const float *weight, float epsilon, size_t count, float *y) {
  f32x16 squares = v_set(0);
  for (size_t i = 0; i < count; i += 16) squares = v_fma(v_load(x + i), v_load(x + i), squares);
  float mean = v_sum(squares) / (float)count;
  // Squares that overflow would give a row of zeros, which looks right.
  float scale = mean < INFINITY ? 1.0f / sqrtf(mean + epsilon) : NAN;
  for (size_t i = 0; i < count; i += 16) v_store(y + i, v_load(x + i) * scale * v_load(weight + i));
}

/// Below it 127 ÷ the largest magnitude would be infinite.
#define LEAST_MAGNITUDE 1e-36f

/// The first of the elements with the largest magnitude; a NaN is larger than any number.
static k_outlier find_outlier(const float *x, size_t count) {
  i32x16 magnitudes = (i32x16)0;
  for (size_t i = 0; i < count; i += 16) {
    magnitudes = __builtin_elementwise_max(magnitudes, v_magnitudes(v_load(x + i)));
  }
  int32_t largest = __builtin_reduce_max(magnitudes);
  size_t i = 0;
  while (i + 16 < count && __builtin_reduce_or(v_magnitudes(v_load(x + i)) == largest) == 0) i += 16;
  while (i + 1 < count && (__builtin_bit_cast(int32_t, x[i]) & 0x7fffffff) != largest) i++;
  return (k_outlier){.value = x[i], .column = (uint32_t)i};
}

/// Quantises one block of 32.
static void quantize_block(const float *x, k_panel *panel, size_t lane) {
  f32x16 v[2] = {v_load(x), v_load(x + 16)};
  float largest = __builtin_bit_cast(
      float, __builtin_reduce_max(__builtin_elementwise_max(v_magnitudes(v[0]), v_magnitudes(v[1]))));
  if (!(largest < INFINITY)) {
    // No code stands for it, and the row must not come out as numbers that look right.
    memset(panel->codes[lane], 0, 32);
    panel->d[lane] = panel->sum[lane] = NAN;
    panel->low[lane] = panel->high[lane] = 0;
    return;
  }
  float inverse = largest > LEAST_MAGNITUDE ? 127.0f / largest : 0.0f;
  int32_t sums[2];
  for (int half = 0; half < 2; half++) {
    i32x16 code = v_round(v[half] * inverse);
    v_narrow(panel->codes[lane] + 16 * half, code);
    sums[half] = __builtin_reduce_add(code);
  }
  panel->d[lane] = largest / 127.0f;
  panel->sum[lane] = panel->d[lane] * (float)(sums[0] + sums[1]);
  panel->low[lane] = -32 * sums[0];
  panel->high[lane] = -32 * sums[1];
}

/// Quantises four blocks: their reductions share instructions. False, and nothing is written, where an element is not
/// finite.
static bool quantize_blocks(const float *x, k_panel *panels, size_t lane) {
  i32x16 magnitudes[4];
  for (int b = 0; b < 4; b++) {
    magnitudes[b] = __builtin_elementwise_max(v_magnitudes(v_load(x + 32 * b)), v_magnitudes(v_load(x + 32 * b + 16)));
  }
  // Lanes 4 b … 4 b + 3 are block b's from here on.
  f32x16 largest = __builtin_bit_cast(
      f32x16, v_fold_each(true, magnitudes[0], magnitudes[1], magnitudes[2], magnitudes[3]));
  if (__builtin_reduce_and(largest < v_set(INFINITY)) == 0) return false;
  f32x16 inverse = v_select(largest > v_set(LEAST_MAGNITUDE), v_set(127.0f) / largest, v_set(0));
  i32x16 code[8];
  for (int half = 0; half < 8; half++) {
    code[half] = v_round(v_load(x + 16 * half) * v_set(inverse[half / 2 * 4]));
    v_narrow(panels[half / 2].codes[lane] + half % 2 * 16, code[half]);
  }
  i32x16 low = v_fold_each(false, code[0], code[2], code[4], code[6]);
  i32x16 high = v_fold_each(false, code[1], code[3], code[5], code[7]);
  f32x16 d = largest / 127.0f;
  f32x16 sum = d * v_from_i32(low + high);
  for (int b = 0; b < 4; b++) {
    panels[b].d[lane] = d[4 * b];
    panels[b].sum[lane] = sum[4 * b];
    panels[b].low[lane] = -32 * low[4 * b];
    panels[b].high[lane] = -32 * high[4 * b];
  }
  return true;
}

static void quantize(const float *x, size_t count, k_panel *panels, size_t lane, k_outlier *outlier) {
  size_t left_out = count;
  if (outlier != NULL) {
    *outlier = find_outlier(x, count);
    left_out = outlier->column;
  }
  float without[128];
  for (size_t i = 0, n; i < count; i += n) {
    n = count - i < 128 ? 32 : 128;
    const float *from = x + i;
    if (left_out - i < n) {
      memcpy(without, from, n * sizeof(float));
      without[left_out - i] = 0;
      from = without;
    }
    if (n == 128 && quantize_blocks(from, panels + i / 32, lane)) continue;
    for (size_t b = 0; b < n; b += 32) quantize_block(from + b, panels + (i + b) / 32, lane);
  }
}

static void gate(k_gate kind, const float *gate, const float *up, size_t count, float *out) {
  for (size_t i = 0; i < count; i += 16) {
    f32x16 g = v_load(gate + i);
    f32x16 exponent = -g;
    if (kind == K_GATE_GELU_TANH) {
      // (1 + tanh u) / 2 = 1 / (1 + e^(−2u)), u = √(2/π) (g + 0.044715 g³)
      exponent = v_fma(g * g * v_set(0.044715f), g, g) * -1.5957691216f;
    }
    v_store(out + i, g / (v_exp(exponent) + 1.0f) * v_load(up + i));
  }
}

static void rope(k_rope kind, float *x, const float *cosines, const float *sines, size_t head_size) {
  size_t half = head_size / 2;
  for (size_t i = 0; i < half; i += 8) {
    f32x8 a, b, c, s;
    memcpy(&c, cosines + i, sizeof c);
    memcpy(&s, sines + i, sizeof s);
    if (kind == K_ROPE_INTERLEAVED) {
      f32x16 both = v_load(x + 2 * i);
      a = __builtin_shufflevector(both, both, 0, 2, 4, 6, 8, 10, 12, 14);
      b = __builtin_shufflevector(both, both, 1, 3, 5, 7, 9, 11, 13, 15);
    } else {
      memcpy(&a, x + i, sizeof a);
      memcpy(&b, x + half + i, sizeof b);
    }
    f32x8 first = a * c - b * s;
    f32x8 second = a * s + b * c;
    if (kind == K_ROPE_INTERLEAVED) {
      v_store(x + 2 * i, __builtin_shufflevector(first, second, 0, 8, 1, 9, 2, 10, 3, 11, 4, 12, 5, 13, 6, 14, 7, 15));
    } else {
      memcpy(x + i, &first, sizeof first);
      memcpy(x + half + i, &second, sizeof second);
    }
  }
}

/// Quantises one head, scaled by its largest magnitude.
K_INLINE void store_scaled(k_kv_dtype dtype, const float *x, size_t count, uint8_t *codes, uint16_t *scale) {
  const i32x16 no_sign = (i32x16)INT32_MAX;
  i32x16 magnitudes = (i32x16)0;
  for (size_t i = 0; i < count; i += 16) {
    // As integers the bits of what is not finite are the largest, where a comparison of floats would pass NaN over.
    magnitudes = __builtin_elementwise_max(magnitudes, v_load_i32(x + i) & no_sign);
  }
  float largest = __builtin_bit_cast(float, __builtin_reduce_max(magnitudes));
  uint16_t half = k_float_to_half(largest / (dtype == K_KV_FP8 ? 448.0f : 127.0f));
  if (half >= 0x7c00) {
    *scale = 0x7e00;
    memset(codes, 0, count);
    return;
  }
  *scale = half;
  // Codes are relative to the scale as it is stored; with a scale of 0 they are 0.
  float d = half == 0 ? INFINITY : k_half_to_float(half);
  for (size_t i = 0; i < count; i += 16) {
    f32x16 scaled = v_load(x + i) / v_set(d);
    if (dtype == K_KV_FP8) v_store_fp8(codes + i, scaled);
    else v_store_i8(codes + i, scaled);
  }
}

static void store(k_kv_dtype dtype, const float *x, size_t count, void *destination, uint16_t *scale) {
  switch (dtype) {
    case K_KV_F32: memcpy(destination, x, count * 4); break;
    case K_KV_F16:
      for (size_t i = 0; i < count; i += 16) v_store_half((uint16_t *)destination + i, v_load(x + i));
      break;
    case K_KV_BF16:
      for (size_t i = 0; i < count; i += 16) v_store_bf16((uint16_t *)destination + i, v_load(x + i));
      break;
    case K_KV_FP8: store_scaled(K_KV_FP8, x, count, destination, scale); break;
    case K_KV_INT8: store_scaled(K_KV_INT8, x, count, destination, scale); break;
  }
}

static void store_column(
    k_kv_dtype dtype, const float *x, size_t count, void *destination, size_t stride, uint16_t *scale) {
  if (k_kv_element_bytes(dtype) == 1) {
    uint8_t codes[K_ATTENTION_HEAD_SIZE];
    store(dtype, x, count, codes, scale);
    for (size_t i = 0; i < count; i++) ((uint8_t *)destination)[i * stride] = codes[i];
    return;
  }
  for (size_t i = 0; i < count; i += 16) {
    if (dtype == K_KV_F32) {
      for (size_t lane = 0; lane < 16; lane++) ((float *)destination)[(i + lane) * stride] = x[i + lane];
    } else {
      uint16_t narrow[16];
      store(dtype, x + i, 16, narrow, NULL);
      for (size_t lane = 0; lane < 16; lane++) ((uint16_t *)destination)[(i + lane) * stride] = narrow[lane];
    }
  }
}
