#include <stdbool.h>

#include "k_tasks.h"

static uint32_t task_end(uint32_t rows, uint32_t rows_per_task, size_t index, size_t *begin) {
  *begin = index * rows_per_task;
  return *begin + rows_per_task < rows ? (uint32_t)*begin + rows_per_task : rows;
}

size_t k_matmul_plan(k_matmul_job *job, uint32_t threads) {
  uint32_t tiles = 0;
  for (uint32_t i = 0; i < job->matrix_count; i++) tiles += job->matrices[i]->tiles;
  job->ways = threads;
  job->tiles_per_way = (tiles + threads - 1) / threads;
  // Several tasks a thread even out what other processes take from a core.
  uint32_t parts = threads == 1 ? 1 : 8;
  job->tiles_per_task = (job->tiles_per_way + parts - 1) / parts;
  return (size_t)threads * ((job->tiles_per_way + job->tiles_per_task - 1) / job->tiles_per_task);
}

void k_matmul_task(const void *context, size_t index) {
  const k_matmul_job *job = context;
  uint32_t way = (uint32_t)index % job->ways;
  uint32_t step = (uint32_t)index / job->ways;
  uint32_t begin = way * job->tiles_per_way + step * job->tiles_per_task;
  uint32_t end = begin + job->tiles_per_task;
  uint32_t way_end = (way + 1) * job->tiles_per_way;
  if (end > way_end) end = way_end;
  uint32_t first = 0;
  for (uint32_t i = 0; i < job->matrix_count; i++) {
    const k_matrix *w = job->matrices[i];
    uint32_t from = begin > first ? begin - first : 0;
    uint32_t to = end > first ? end - first : 0;
    if (to > w->tiles) to = w->tiles;
    if (from < to) {
      if (job->input.panels != NULL) {
        job->kernels->matmul_int8(w, &job->input, from, to, job->outputs[i], job->strides[i]);
      } else {
        job->kernels->matmul_float(w, &job->input, from, to, job->outputs[i], job->strides[i]);
      }
    }
    first += w->tiles;
  }
}

void k_norm_task(const void *context, size_t index) {
  const k_norm_job *job = context;
  const k_kernels *kernels = job->kernels;
  size_t columns = job->columns;
  size_t row;
  uint32_t end = task_end(job->rows, job->rows_per_task, index, &row);
  for (; row < end; row++) {
    float *x = job->residual + row * columns;
    if (job->delta != NULL) {
      float *delta = job->delta + row * columns;
      if (job->delta_weight != NULL) kernels->rms_norm(delta, job->delta_weight, job->epsilon, columns, delta);
      for (size_t i = 0; i < columns; i++) x[i] += delta[i];
    }
    if (job->weight == NULL) continue;
    float *output = job->output + row * columns;
    kernels->rms_norm(x, job->weight, job->epsilon, columns, output);
    if (job->panels != NULL) {
      k_panel *panels = job->panels + k_panel_index(row, columns);
      kernels->quantize(output, columns, panels, row % K_PANEL_TOKENS, job->outliers + row);
    }
  }
}

static void add(float *x, const float *bias, size_t count) {
  if (bias == NULL) return;
  for (size_t i = 0; i < count; i++) x[i] += bias[i];
}

static void rotate_heads(
    const k_store_job *job, float *x, uint32_t heads, const float *norm, const float *cosines, const float *sines) {
  for (size_t h = 0; h < heads; h++) {
    float *head = x + h * job->head_size;
    if (norm != NULL) job->kernels->rms_norm(head, norm, job->epsilon, job->head_size, head);
    job->kernels->rope(job->rope, head, cosines, sines, job->head_size);
  }
}

void k_store_task(const void *context, size_t index) {
  const k_store_job *job = context;
  size_t size = job->head_size;
  size_t query_size = job->heads * size, kv_size = job->kv_heads * size;
  size_t element = k_kv_element_bytes(job->dtype);
  size_t head_bytes = job->block_size * size * element;
  size_t row;
  uint32_t end = task_end(job->rows, job->rows_per_task, index, &row);
  for (; row < end; row++) {
    float *queries = job->queries + row * query_size;
    float *keys = job->keys + row * kv_size;
    float *values = job->values + row * kv_size;
    const float *cosines = job->cosines + row * (size / 2);
    const float *sines = job->sines + row * (size / 2);
    add(queries, job->query_bias, query_size);
    add(keys, job->key_bias, kv_size);
    add(values, job->value_bias, kv_size);
    rotate_heads(job, queries, job->heads, job->query_norm, cosines, sines);
    rotate_heads(job, keys, job->kv_heads, job->key_norm, cosines, sines);
    for (size_t i = 0; i < query_size; i++) queries[i] *= job->query_scale;
    uint32_t position = (uint32_t)job->positions[row];
    int32_t block = job->tables[(uint32_t)job->row_tables[row] + position / job->block_size];
    uint8_t *base = job->pool + (size_t)block * job->block_bytes;
    size_t slot = position % job->block_size;
    uint8_t *block_keys = base + job->keys_offset, *block_values = base + job->values_offset;
    uint16_t *key_scales = (uint16_t *)(block_keys + job->kv_heads * head_bytes);
    uint16_t *value_scales = (uint16_t *)(block_values + job->kv_heads * head_bytes);
    for (size_t h = 0; h < job->kv_heads; h++) {
      uint8_t *head_keys = block_keys + h * head_bytes + slot * element;
      uint8_t *head_values = block_values + h * head_bytes + slot * size * element;
      size_t scale = h * job->block_size + slot;
      job->kernels->store_column(
          job->dtype, keys + h * size, size, head_keys, job->block_size, key_scales + scale);
      job->kernels->store(job->dtype, values + h * size, size, head_values, value_scales + scale);
    }
  }
}

/// Some columns of a panel's rows.
typedef struct {
  size_t row;
  size_t rows_end;
  size_t column;
  size_t columns;
} panel_part;

size_t k_panel_tasks(uint32_t rows, uint32_t columns, uint32_t columns_per_task) {
  size_t parts = (columns + columns_per_task - 1) / columns_per_task;
  return (rows + K_PANEL_TOKENS - 1) / K_PANEL_TOKENS * parts;
}

static panel_part part_of(uint32_t rows, uint32_t columns, uint32_t columns_per_task, size_t index) {
  size_t parts = (columns + columns_per_task - 1) / columns_per_task;
  panel_part part = {.row = index / parts * K_PANEL_TOKENS, .column = index % parts * columns_per_task};
  part.rows_end = part.row + K_PANEL_TOKENS < rows ? part.row + K_PANEL_TOKENS : rows;
  part.columns = part.column + columns_per_task < columns ? columns_per_task : columns - part.column;
  return part;
}

void k_gate_task(const void *context, size_t index) {
  const k_gate_job *job = context;
  panel_part part = part_of(job->rows, job->columns, job->columns_per_task, index);
  for (size_t row = part.row; row < part.rows_end; row++) {
    size_t from = row * job->columns + part.column;
    job->kernels->gate(job->kind, job->gate + from, job->up + from, part.columns, job->output + from);
    if (job->panels != NULL) {
      k_panel *panels = job->panels + k_panel_index(row, job->columns) + part.column / 32;
      job->kernels->quantize(job->output + from, part.columns, panels, row % K_PANEL_TOKENS, NULL);
    }
  }
}

void k_quantize_task(const void *context, size_t index) {
  const k_quantize_job *job = context;
  panel_part part = part_of(job->rows, job->columns, job->columns_per_task, index);
  for (size_t row = part.row; row < part.rows_end; row++) {
    k_panel *panels = job->panels + k_panel_index(row, job->columns) + part.column / 32;
    const float *input = job->input + row * job->columns + part.column;
    job->kernels->quantize(input, part.columns, panels, row % K_PANEL_TOKENS, NULL);
  }
}

/// The pool gives a thread every so-many-th index; of attention a thread does neighbouring tasks, unless another takes
/// them from it: heads that lie side by side in memory, and what it asked for as it finished the task before.
static size_t neighbouring(size_t index, size_t count, size_t threads) {
  size_t thread = index % threads, more = count % threads;
  return thread * (count / threads) + (thread < more ? thread : more) + index / threads;
}

void k_attention_task(const void *context, size_t index) {
  const k_attention_job *job = context;
  uint32_t heads = job->attention.kv_heads;
  size_t task = job->first + neighbouring(index, job->count, job->threads);
  size_t next = task + 1;
  bool is_last = index + job->threads >= job->count;
  job->kernels->attention(
      &job->attention, &job->items[task / heads], (uint32_t)(task % heads),
      is_last ? NULL : &job->items[next / heads], (uint32_t)(next % heads));
}

void k_attention_merge_task(const void *context, size_t index) {
  const k_attention_job *job = context;
  uint32_t heads = job->attention.kv_heads;
  size_t task = job->first + index;
  job->kernels->attention_merge(&job->attention, &job->items[task / heads], (uint32_t)(task % heads));
}
