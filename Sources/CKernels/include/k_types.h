#pragma once
#include <stddef.h>
#include <stdint.h>

/// Element types of stored tensors; the numbers are GGUF's.
typedef enum {
  K_TYPE_F32 = 0,
  K_TYPE_F16 = 1,
  K_TYPE_Q4_0 = 2,
  K_TYPE_Q4_1 = 3,
  K_TYPE_Q5_0 = 6,
  K_TYPE_Q5_1 = 7,
  K_TYPE_Q8_0 = 8,
  K_TYPE_Q4_K = 12,
  K_TYPE_Q5_K = 13,
  K_TYPE_Q6_K = 14,
  K_TYPE_BF16 = 30,
} k_type;

/// Element types of stored keys and values. Of the last two each token and head has a scale of its own, an IEEE half,
/// and value = scale × code.
typedef enum {
  K_KV_F32 = 0,
  K_KV_F16 = 1,
  K_KV_BF16 = 2,
  /// 4 bits of exponent, 3 of mantissa, no infinities.
  /// Source: Micikevicius et al., FP8 Formats for Deep Learning (2022).
  K_KV_FP8 = 3,
  /// −127 … 127.
  K_KV_INT8 = 4,
} k_kv_dtype;

/// Bytes of one stored element.
static inline size_t k_kv_element_bytes(k_kv_dtype dtype) {
  return dtype == K_KV_F32 ? 4 : dtype == K_KV_F16 || dtype == K_KV_BF16 ? 2 : 1;
}

/// Bytes of the scale of one token and head; 0 where there is none.
static inline size_t k_kv_scale_bytes(k_kv_dtype dtype) { return k_kv_element_bytes(dtype) == 1 ? 2 : 0; }

/// Elements of one block of `type`; 0 for an unknown type.
size_t k_type_block_elements(k_type type);

/// Bytes of one block of `type`; 0 for an unknown type.
size_t k_type_block_bytes(k_type type);

/// Dequantises `count` elements, a multiple of the type's block, to `f32`, by the formula of the format's definition.
void k_dequantize(k_type type, const void *source, size_t count, float *destination);

/// IEEE half to float and back, rounding to nearest even; the vector paths are compared with these.
float k_half_to_float(uint16_t half);
uint16_t k_float_to_half(float value);
