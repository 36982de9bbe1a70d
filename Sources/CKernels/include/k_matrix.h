#pragma once
#include "k_types.h"

/// Rows of a tile: the output lanes of one vector.
enum { K_TILE_ROWS = 16 };

/// How a packed matrix holds its weights. Each but the last three has blocks of 32 codes along a row:
/// weight = d × code + m, with d and m per block (Q6_K: d per 16 codes, code − 32 in place of m).
typedef enum {
  K_FORMAT_Q4 = 0,   // 4 bits, d; m = −8 d
  K_FORMAT_Q5 = 1,   // 5 bits, d; m = −16 d
  K_FORMAT_Q8 = 2,   // 8 bits, d; m = −128 d
  K_FORMAT_Q4M = 3,  // 4 bits, d and m
  K_FORMAT_Q5M = 4,  // 5 bits, d and m
  K_FORMAT_Q4K = 5,  // 4 bits, d = D × scale, m = −M × minimum, with D and M per 256 codes
  K_FORMAT_Q5K = 6,  // 5 bits, the same
  K_FORMAT_Q6K = 7,  // 6 bits, d = D × scale with D per 256 and a scale per 16 codes
  K_FORMAT_F16 = 8,
  K_FORMAT_BF16 = 9,
  K_FORMAT_F32 = 10,
} k_format;

/// A weight matrix, repacked so that 16 rows lie side by side: `[tile][block of 32 columns][4 columns][row][column]`.
///
/// Low bits and high bits of the codes and the scales lie in planes of their own, each contiguous per tile. Rows that fill
/// up the last tile are zero. The memory is the owner's.
typedef struct {
  k_format format;
  uint32_t rows;
  uint32_t columns;
  uint32_t tiles;
  uint8_t *codes;
  uint8_t *high;
  uint8_t *scales;
  /// Bytes from one tile to the next.
  size_t codes_stride;
  size_t high_stride;
  size_t scales_stride;
} k_matrix;

/// Describes the packed form of a `rows` × `columns` matrix of `type`.
///
/// Returns 0 when it cannot be packed: an unknown type, or columns that are not a multiple of 32 and of the type's block.
int k_matrix_plan(k_type type, uint32_t rows, uint32_t columns, k_matrix *matrix);

/// Bytes that the planes take together.
size_t k_matrix_bytes(const k_matrix *matrix);

/// Points the planes into `memory`, which is aligned to 64 bytes and holds `k_matrix_bytes`.
void k_matrix_bind(k_matrix *matrix, void *memory);

/// Packs the tiles of [begin, end) from the row-major tensor at `source`. Different tiles may be packed at once.
void k_matrix_pack(const k_matrix *matrix, k_type type, const void *source, uint32_t begin, uint32_t end);
