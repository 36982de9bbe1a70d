#pragma once
#include <stddef.h>
#include <stdint.h>

/// Arithmetic whose peak can be measured. A multiplication and an addition are two operations.
typedef enum {
  /// vpdpbusd on 512 bits: 8-bit products summed to 32 bits.
  R_INT8_AVX512 = 0,
  /// vpmaddubsw, vpmaddwd and vpaddd on 256 bits: the same without VNNI.
  R_INT8_AVX2 = 1,
  /// vdpbf16ps on 512 bits.
  R_BF16_AVX512 = 2,
  /// Fused multiply-add of `f32` on 512 bits.
  R_F32_AVX512 = 3,
  /// Fused multiply-add of `f32` on 256 bits.
  R_F32_AVX2 = 4,
  /// Multiplication and addition of `f32` as the compiler makes it of plain C.
  R_F32_PORTABLE = 5,
} r_arithmetic;

/// Whether this processor can run it.
int r_can_run(r_arithmetic arithmetic);

/// Does `rounds` rounds from registers alone and returns the number of operations; 0 where the processor cannot.
uint64_t r_compute(r_arithmetic arithmetic, uint64_t rounds);

/// Reads `bytes`, a multiple of 4096 aligned to 64, as `streams` (1, 2 or 4) neighbouring streams; returns their
/// exclusive or.
uint64_t r_read(const void *data, size_t bytes, uint32_t streams);

/// Asks for large pages, as far as the system gives them.
void r_prefer_large_pages(void *data, size_t bytes);
