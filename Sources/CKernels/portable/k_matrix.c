#include "k_matrix.h"

#include <string.h>

#include "k_codec.h"

static size_t rounded(size_t bytes) { return (bytes + 63) / 64 * 64; }

static int format_of(k_type type, k_format *format) {
  switch (type) {
    case K_TYPE_F32: *format = K_FORMAT_F32; return 1;
    case K_TYPE_F16: *format = K_FORMAT_F16; return 1;
    case K_TYPE_BF16: *format = K_FORMAT_BF16; return 1;
    case K_TYPE_Q4_0: *format = K_FORMAT_Q4; return 1;
    case K_TYPE_Q4_1: *format = K_FORMAT_Q4M; return 1;
    case K_TYPE_Q5_0: *format = K_FORMAT_Q5; return 1;
    case K_TYPE_Q5_1: *format = K_FORMAT_Q5M; return 1;
    case K_TYPE_Q8_0: *format = K_FORMAT_Q8; return 1;
    case K_TYPE_Q4_K: *format = K_FORMAT_Q4K; return 1;
    case K_TYPE_Q5_K: *format = K_FORMAT_Q5K; return 1;
    case K_TYPE_Q6_K: *format = K_FORMAT_Q6K; return 1;
  }
  return 0;
}

int k_matrix_plan(k_type type, uint32_t rows, uint32_t columns, k_matrix *matrix) {
  memset(matrix, 0, sizeof *matrix);
  if (!format_of(type, &matrix->format) || rows == 0 || columns == 0 || columns % 32 != 0) return 0;
  if (columns % k_type_block_elements(type) != 0) return 0;
  matrix->rows = rows;
  matrix->columns = columns;
  matrix->tiles = rows / K_TILE_ROWS + (rows % K_TILE_ROWS != 0);
  size_t blocks = columns / 32;
  size_t codes = 256, high = 0, scales = 32;
  switch (matrix->format) {
    case K_FORMAT_Q4: break;
    case K_FORMAT_Q5: high = 64; break;
    case K_FORMAT_Q8: codes = 512; break;
    case K_FORMAT_Q4M: scales = 64; break;
    case K_FORMAT_Q5M: high = 64; scales = 64; break;
    case K_FORMAT_Q4K: scales = 40; break;
    case K_FORMAT_Q5K: high = 64; scales = 40; break;
    case K_FORMAT_Q6K: high = 128; scales = 36; break;
    case K_FORMAT_F16:
    case K_FORMAT_BF16: codes = 1024; scales = 0; break;
    case K_FORMAT_F32: codes = 2048; scales = 0; break;
  }
  matrix->codes_stride = rounded(blocks * codes);
  matrix->high_stride = rounded(blocks * high);
  matrix->scales_stride = rounded(blocks * scales);
  return 1;
}

size_t k_matrix_bytes(const k_matrix *matrix) {
  return matrix->tiles * (matrix->codes_stride + matrix->high_stride + matrix->scales_stride);
}

void k_matrix_bind(k_matrix *matrix, void *memory) {
  matrix->codes = memory;
  matrix->high = matrix->codes + matrix->tiles * matrix->codes_stride;
  matrix->scales = matrix->high + matrix->tiles * matrix->high_stride;
}

static void write_u16(uint8_t *destination, uint16_t value) { memcpy(destination, &value, 2); }

/// Writes the code of one weight: `k` is its column in the block of 32.
static void put_code(k_format format, uint8_t *codes, uint8_t *high, size_t row, size_t k, uint8_t code) {
  size_t group = k / 4;
  size_t byte = group % 4 * 64 + row * 4 + k % 4;
  if (format == K_FORMAT_Q8) {
    codes[group * 64 + row * 4 + k % 4] = code;
    return;
  }
  codes[byte] |= (uint8_t)((code & 15) << (group < 4 ? 0 : 4));
  switch (format) {
    case K_FORMAT_Q5:
    case K_FORMAT_Q5M:
    case K_FORMAT_Q5K: high[row * 4 + k % 4] |= (uint8_t)(code >> 4 << group); break;
    case K_FORMAT_Q6K: high[group / 4 * 64 + row * 4 + k % 4] |= (uint8_t)(code >> 4 << (2 * (group % 4))); break;
    default: break;
  }
}

static void put_scales(k_format format, k_type type, const uint8_t *row_bytes, size_t block, size_t row, uint8_t *scales) {
  const uint8_t *super = row_bytes + block / 8 * k_type_block_bytes(type);
  const uint8_t *simple = row_bytes + block * k_type_block_bytes(type);
  size_t j = block % 8;
  switch (format) {
    case K_FORMAT_Q4M:
    case K_FORMAT_Q5M:
      write_u16(scales + 64 * block + 2 * row, k_read_u16(simple));
      write_u16(scales + 64 * block + 32 + 2 * row, k_read_u16(simple + 2));
      break;
    case K_FORMAT_Q4K:
    case K_FORMAT_Q5K: {
      uint8_t *tile = scales + block / 8 * 320;
      write_u16(tile + 2 * row, k_read_u16(super));
      write_u16(tile + 32 + 2 * row, k_read_u16(super + 2));
      k_scale_and_minimum(super + 4, j, tile + 64 + 32 * j + row, tile + 64 + 32 * j + 16 + row);
      break;
    }
    case K_FORMAT_Q6K: {
      uint8_t *tile = scales + block / 8 * 288;
      write_u16(tile + 2 * row, k_read_u16(super + 208));
      tile[32 + 32 * j + row] = super[192 + 2 * j];
      tile[32 + 32 * j + 16 + row] = super[192 + 2 * j + 1];
      break;
    }
    default:
      write_u16(scales + 32 * block + 2 * row, k_read_u16(simple));
      break;
  }
}

/// Float matrices lie as `[tile][column][row]`.
static void pack_float_row(const k_matrix *matrix, const uint8_t *source, size_t size, uint8_t *codes, size_t row) {
  for (size_t k = 0; k < matrix->columns; k++) {
    memcpy(codes + (k * K_TILE_ROWS + row) * size, source + k * size, size);
  }
}

void k_matrix_pack(const k_matrix *matrix, k_type type, const void *source, uint32_t begin, uint32_t end) {
  size_t row_bytes = matrix->columns / k_type_block_elements(type) * k_type_block_bytes(type);
  k_codes block;
  for (size_t tile = begin; tile < end; tile++) {
    uint8_t *codes = matrix->codes + tile * matrix->codes_stride;
    uint8_t *high = matrix->high + tile * matrix->high_stride;
    uint8_t *scales = matrix->scales + tile * matrix->scales_stride;
    memset(codes, 0, matrix->codes_stride);
    memset(high, 0, matrix->high_stride);
    memset(scales, 0, matrix->scales_stride);
    for (size_t row = 0; row < K_TILE_ROWS && tile * K_TILE_ROWS + row < matrix->rows; row++) {
      const uint8_t *from = (const uint8_t *)source + (tile * K_TILE_ROWS + row) * row_bytes;
      if (matrix->format == K_FORMAT_F32) {
        pack_float_row(matrix, from, 4, codes, row);
        continue;
      }
      if (matrix->format == K_FORMAT_F16 || matrix->format == K_FORMAT_BF16) {
        pack_float_row(matrix, from, 2, codes, row);
        continue;
      }
      size_t code_bytes = matrix->format == K_FORMAT_Q8 ? 512 : 256;
      size_t high_bytes = matrix->format == K_FORMAT_Q6K ? 128 : matrix->high_stride == 0 ? 0 : 64;
      for (size_t b = 0; b < matrix->columns / 32; b++) {
        k_read_codes(type, from, b, &block);
        for (size_t k = 0; k < 32; k++) {
          put_code(matrix->format, codes + b * code_bytes, high + b * high_bytes, row, k, block.codes[k]);
        }
        put_scales(matrix->format, type, from, b, row, scales);
      }
    }
  }
}
