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

K_INLINE f32x16 portable_products(
    k_format format, const k_matrix *w, const k_panel *panels, size_t lane, size_t tile, f32x16 sums) {
  const uint8_t *codes = w->codes + tile * w->codes_stride;
  const uint8_t *high = w->high + tile * w->high_stride;
  const uint8_t *scales = w->scales + tile * w->scales_stride;
  for (size_t b = 0; b < w->columns / 32; b++) {
    const uint8_t *block = codes + b * code_bytes(format);
    const uint8_t *block_high = high + b * high_bytes(format);
    const k_panel *panel = panels + b;
    const int8_t *q = panel->codes[lane];
    f32x16 d, m;
    if (format == K_FORMAT_Q6K) {
      const uint8_t *sub;
      block_scales_6k(scales, b, &d, &sub);
      i8x16 first, second;
      memcpy(&first, sub, 16);
      memcpy(&second, sub + 16, 16);
      i32x16 low = dot_groups(format, block, block_high, q, 0, 4) + panel->low[lane];
      i32x16 top = dot_groups(format, block, block_high, q, 4, 8) + panel->high[lane];
      i32x16 dot = low * __builtin_convertvector(first, i32x16) + top * __builtin_convertvector(second, i32x16);
      sums = v_fma(v_from_i32(dot), d * panel->d[lane], sums);
    } else {
      block_scales(format, scales, b, &d, &m);
      sums = v_fma(v_from_i32(dot_groups(format, block, block_high, q, 0, 8)), d * panel->d[lane], sums);
      sums = v_fma(m, v_set(panel->sum[lane]), sums);
    }
  }
  return sums;
}

K_INLINE void portable_tiles(
    k_format format, const k_matrix *w, const k_activations *x, uint32_t begin, uint32_t end, float *y,
    size_t stride) {
  for (uint32_t tile = begin; tile < end; tile++) {
    outlier_column column = {.column = UINT32_MAX};
    for (size_t t = 0; t < x->tokens; t++) {
      const k_panel *panels = x->panels + k_panel_index(t, w->columns);
      f32x16 sums = outlier_product(format, w, x, tile, t, &column);
      sums = portable_products(format, w, panels, t % K_PANEL_TOKENS, tile, sums);
      store_rows(w, tile, y + t * stride, sums);
    }
  }
}

K_DEFINE_MATMUL_INT8(portable_tiles)

K_DEFINE_TABLE(k_kernels_portable, K_PATH_PORTABLE, "portable");
