#pragma once
#include "k_attention.h"
#include "k_matrix.h"

/// The sets of instructions that there is code for. All give the same bits.
typedef enum {
  K_PATH_PORTABLE = 0,
  K_PATH_AVX2 = 1,
  K_PATH_AVX512 = 2,
} k_path;

typedef enum {
  K_GATE_SILU = 0,
  K_GATE_GELU_TANH = 1,
} k_gate;

typedef enum {
  /// Pairs (2i, 2i + 1) are rotated.
  K_ROPE_INTERLEAVED = 0,
  /// Pairs (i, i + head size / 2) are rotated.
  K_ROPE_HALVES = 1,
} k_rope;

enum { K_PANEL_TOKENS = 8 };

/// 32 columns of up to eight tokens' activations: value = d × code, code in −127 … 127. A product reads all of them at
/// constant distances from one address.
typedef struct {
  int8_t codes[K_PANEL_TOKENS][32];
  float d[K_PANEL_TOKENS];
  /// d × the sum of the codes.
  float sum[K_PANEL_TOKENS];
  /// −32 × the sum of the first and of the last 16 codes.
  int32_t low[K_PANEL_TOKENS];
  int32_t high[K_PANEL_TOKENS];
} k_panel;

/// Panels that `tokens` tokens of `columns` columns take: `[token / 8][column / 32]`.
static inline size_t k_panel_count(size_t tokens, size_t columns) {
  return (tokens + K_PANEL_TOKENS - 1) / K_PANEL_TOKENS * (columns / 32);
}

/// How many panels lie before those that hold `token`, in its lane `token % K_PANEL_TOKENS`.
static inline size_t k_panel_index(size_t token, size_t columns) { return token / K_PANEL_TOKENS * (columns / 32); }

/// The largest of one token's activations, which is multiplied in floating point: one such element would take the
/// precision from the 31 that share its scale.
/// Source: Dettmers et al., LLM.int8() (2022).
typedef struct {
  float value;
  uint32_t column;
} k_outlier;

/// Activations of some tokens: `[token][column]` as `f32`, and quantised in panels unless `panels` is
/// null. The code of a token's outlier is 0; `outliers` is null where none is taken out.
typedef struct {
  const float *values;
  const k_panel *panels;
  const k_outlier *outliers;
  uint32_t tokens;
  uint32_t columns;
} k_activations;

/// The kernels of one path.
///
/// The order of every float operation is part of their contract: sums over K ascend per block of 32 and use fused
/// multiply-adds, sums over a row are 16 interleaved partial sums that are folded in halves, a score is one chain over
/// its head's elements. Nothing depends on how many tokens or tiles one call handles.
typedef struct {
  k_path path;
  const char *name;

  /// y = x ÷ √(mean(x²) + epsilon) × weight; `count` is a multiple of 16; y may be x.
  void (*rms_norm)(const float *x, const float *weight, float epsilon, size_t count, float *y);

  /// Quantises one token to 8 bits into its lane of `count` / 32 panels, scaled by the largest magnitude of each 32
  /// without the outlier; `count` is a multiple of 32. A null `outlier` leaves nothing out. Products with what is not
  /// finite are not finite either.
  void (*quantize)(const float *x, size_t count, k_panel *panels, size_t lane, k_outlier *outlier);

  /// out = activation(gate) × up; `count` is a multiple of 16.
  void (*gate)(k_gate kind, const float *gate, const float *up, size_t count, float *out);

  /// Rotates one head in place; `cosines` and `sines` have head_size / 2 elements.
  void (*rope)(k_rope kind, float *x, const float *cosines, const float *sines, size_t head_size);

  /// Converts one head to the stored type, rounding to nearest even; `count` is a multiple of 16. `scale` is used where
  /// the type has one: a half, the largest magnitude over that of the codes. What is not finite, or too large for a half,
  /// gives a scale that is NaN.
  void (*store)(k_kv_dtype dtype, const float *x, size_t count, void *destination, uint16_t *scale);

  /// The same, to every `stride`-th element; `count` is at most `K_ATTENTION_HEAD_SIZE`.
  void (*store_column)(
      k_kv_dtype dtype, const float *x, size_t count, void *destination, size_t stride, uint16_t *scale);

  /// y[token × stride + row] = Σ weight × activation for the rows of tiles [begin, end), from quantised activations
  /// and outliers. The sums start from the outlier's product.
  void (*matmul_int8)(
      const k_matrix *w, const k_activations *x, uint32_t begin, uint32_t end, float *y, size_t stride);

  /// The same from `f32` activations and dequantised weights, for every format.
  void (*matmul_float)(
      const k_matrix *w, const k_activations *x, uint32_t begin, uint32_t end, float *y, size_t stride);

  /// Attends the item's tokens, for the query heads of one kv head: the splits one after the other, merged by an
  /// online softmax. Memory is asked for what the thread attends next, unless `next` is null.
  /// Source: Dao et al., FlashAttention (2022); Kwon et al., PagedAttention (2023).
  void (*attention)(
      const k_attention *attention, const k_attention_item *item, uint32_t kv_head, const k_attention_item *next,
      uint32_t next_kv_head);

  /// Merges the item's splits, for the query heads of one kv head, into the output.
  void (*attention_merge)(const k_attention *attention, const k_attention_item *item, uint32_t kv_head);
} k_kernels;

/// The kernels of `path`, or null where this processor cannot run them.
const k_kernels *k_kernels_for(k_path path);

/// The fastest kernels that this processor can run.
const k_kernels *k_kernels_best(void);

/// Whether a matrix of this format is multiplied with quantised activations.
int k_format_is_quantized(k_format format);
