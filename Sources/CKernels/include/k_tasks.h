#pragma once
#include "k_kernels.h"

/// Parts of a layer, cut into independent tasks for a pool of threads: `k_…_task(job, index)`.
typedef void (*k_task)(const void *job, size_t index);

enum { K_MATMUL_MATRICES = 3 };

/// Up to three matrices that share their input.
typedef struct {
  const k_kernels *kernels;
  const k_matrix *matrices[K_MATMUL_MATRICES];
  float *outputs[K_MATMUL_MATRICES];
  size_t strides[K_MATMUL_MATRICES];
  uint32_t matrix_count;
  /// Neighbouring tasks lie `tiles_per_way` apart, so that threads which take them in turn each walk one piece of
  /// memory: what is prefetched beyond a task's end is then the same thread's next.
  uint32_t ways;
  uint32_t tiles_per_way;
  uint32_t tiles_per_task;
  k_activations input;
} k_matmul_job;

/// Cuts the job for `threads` threads and returns the number of tasks.
size_t k_matmul_plan(k_matmul_job *job, uint32_t threads);
void k_matmul_task(const void *job, size_t index);

/// Per row: residual += [norm of] delta; output = norm of residual, quantised too unless `panels` is null.
typedef struct {
  const k_kernels *kernels;
  uint32_t rows;
  /// All rows or a multiple of `K_PANEL_TOKENS`, so that no two threads write to one panel.
  uint32_t rows_per_task;
  uint32_t columns;
  float epsilon;
  float *residual;
  /// What is added; null adds nothing. It is overwritten when `delta_weight` is given.
  float *delta;
  const float *delta_weight;
  /// Null leaves `output` alone.
  const float *weight;
  float *output;
  k_panel *panels;
  k_outlier *outliers;
} k_norm_job;

void k_norm_task(const void *job, size_t index);

/// Per row: adds biases, normalises and rotates queries and keys, scales queries, stores keys and values.
typedef struct {
  const k_kernels *kernels;
  uint32_t rows;
  uint32_t rows_per_task;
  uint32_t heads;
  uint32_t kv_heads;
  uint32_t head_size;
  float epsilon;
  float query_scale;
  k_rope rope;
  float *queries;
  float *keys;
  float *values;
  /// Null where the model has none.
  const float *query_bias;
  const float *key_bias;
  const float *value_bias;
  const float *query_norm;
  const float *key_norm;
  /// `[row][head size / 2]`.
  const float *cosines;
  const float *sines;
  /// Per row: its position, and where its sequence's block ids start.
  const int32_t *positions;
  const int32_t *row_tables;
  const int32_t *tables;
  uint8_t *pool;
  size_t block_bytes;
  size_t keys_offset;
  size_t values_offset;
  uint32_t block_size;
  k_kv_dtype dtype;
} k_store_job;

void k_store_task(const void *job, size_t index);

/// output = activation(gate) × up, quantised too unless `panels` is null. A task takes some columns of a panel's rows:
/// also few rows make several tasks, and no two threads write to one panel.
typedef struct {
  const k_kernels *kernels;
  uint32_t rows;
  uint32_t columns;
  /// A multiple of 32; of 128 is fastest.
  uint32_t columns_per_task;
  k_gate kind;
  const float *gate;
  const float *up;
  float *output;
  k_panel *panels;
} k_gate_job;

void k_gate_task(const void *job, size_t index);

/// Quantises rows without outliers, cut as for `k_gate_job`.
typedef struct {
  const k_kernels *kernels;
  uint32_t rows;
  uint32_t columns;
  uint32_t columns_per_task;
  const float *input;
  k_panel *panels;
} k_quantize_job;

/// Tasks that panels of `rows` rows make, `columns_per_task` columns each.
size_t k_panel_tasks(uint32_t rows, uint32_t columns, uint32_t columns_per_task);

void k_quantize_task(const void *job, size_t index);

/// Items × kv heads.
typedef struct {
  const k_kernels *kernels;
  k_attention attention;
  const k_attention_item *items;
  /// Tasks [first, first + count) of all: each item has one for each head of keys and values.
  size_t first;
  size_t count;
  /// Threads of the pool that runs the tasks.
  size_t threads;
} k_attention_job;

void k_attention_task(const void *job, size_t index);
void k_attention_merge_task(const void *job, size_t index);
