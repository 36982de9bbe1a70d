// The kernels in plain C: what the other paths are compared with, and what runs where they cannot.
#include "../generic/k_attend.h"
#include "../generic/k_elementwise.h"
#include "../generic/k_matmul.h"
#include "k_paths.h"

K_INLINE i32x16 dot_groups(
    k_format format, const uint8_t *codes, const uint8_t *high, const int8_t *x, int from, int to) {
  i32x16 sum = (i32x16)0;
  for (int group = from; group < to; group++) {
    for (int column = 0; column < 4; column++) {
      sum += block_codes(format, codes, high, group, column) * (int32_t)x[4 * group + column];
    }
  }
  return sum;
}

K_INLINE void portable_tile(
    k_format format, int tokens, const k_matrix *w, const k_activations *x, size_t tile, size_t token,
    outlier_column *column, float *y, size_t stride) {
  size_t blocks = w->columns / 32;
  const uint8_t *codes = w->codes + tile * w->codes_stride;
  const uint8_t *high = w->high + tile * w->high_stride;
  const uint8_t *scales = w->scales + tile * w->scales_stride;
  for (size_t t = token; t < token + (size_t)tokens; t++) {
    f32x16 sums = outlier_product(format, w, x, tile, t, column);
    for (size_t b = 0; b < blocks; b++) {
      const uint8_t *block = codes + b * code_bytes(format);
      const uint8_t *block_high = high + b * high_bytes(format);
      const int8_t *q = x->codes + t * x->columns + 32 * b;
      const k_block_scale *scale = x->scales + t * blocks + b;
      f32x16 d, m;
      if (format == K_FORMAT_Q6K) {
        const uint8_t *sub;
        block_scales_6k(scales, b, &d, &sub);
        i8x16 first, second;
        memcpy(&first, sub, 16);
        memcpy(&second, sub + 16, 16);
        i32x16 low = dot_groups(format, block, block_high, q, 0, 4) + scale->low;
        i32x16 top = dot_groups(format, block, block_high, q, 4, 8) + scale->high;
        i32x16 dot = low * __builtin_convertvector(first, i32x16) + top * __builtin_convertvector(second, i32x16);
        sums = v_fma(v_from_i32(dot), d * scale->d, sums);
      } else {
        block_scales(format, scales, b, &d, &m);
        sums = v_fma(v_from_i32(dot_groups(format, block, block_high, q, 0, 8)), d * scale->d, sums);
        sums = v_fma(m, v_set(scale->sum), sums);
      }
    }
    store_rows(w, tile, y + t * stride, sums);
  }
}

#define LARGEST_TOKENS(format) 4
K_DEFINE_MATMUL_INT8(portable_tile, LARGEST_TOKENS)

K_DEFINE_TABLE(k_kernels_portable, K_PATH_PORTABLE, "portable");
