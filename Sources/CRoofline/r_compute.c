#include "CRoofline.h"

// Each round updates independent accumulators, enough of them to hide the latency of the instruction. The instructions
// are written out, because a compiler would lift products that do not change out of the loop.

#if defined(__x86_64__)
#include <immintrin.h>

#define R_AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,avx512vnni"), noinline))
#define R_AVX512_BF16 __attribute__((target("avx512f,avx512bw,avx512vl,avx512bf16"), noinline))
#define R_AVX2 __attribute__((target("avx2,fma"), noinline))

enum { R_CHAINS_512 = 16, R_CHAINS_256 = 12, R_CHAINS_MADD = 8 };

#define R_STEP_512(name, i) __asm__ volatile(name " %2, %1, %0" : "+v"(sums[i]) : "v"(a), "v"(b))

#define R_LOOP_512(name)                                                                              \
  for (uint64_t round = 0; round < rounds; round++) {                                                 \
    R_STEP_512(name, 0); R_STEP_512(name, 1); R_STEP_512(name, 2); R_STEP_512(name, 3);               \
    R_STEP_512(name, 4); R_STEP_512(name, 5); R_STEP_512(name, 6); R_STEP_512(name, 7);               \
    R_STEP_512(name, 8); R_STEP_512(name, 9); R_STEP_512(name, 10); R_STEP_512(name, 11);             \
    R_STEP_512(name, 12); R_STEP_512(name, 13); R_STEP_512(name, 14); R_STEP_512(name, 15);           \
  }

R_AVX512 static uint64_t int8_avx512(uint64_t rounds) {
  __m512i a = _mm512_set1_epi8(3), b = _mm512_set1_epi8(1);
  __m512i sums[R_CHAINS_512];
  for (int i = 0; i < R_CHAINS_512; i++) sums[i] = _mm512_setzero_si512();
  R_LOOP_512("vpdpbusd")
  return rounds * R_CHAINS_512 * 128;
}

R_AVX512_BF16 static uint64_t bf16_avx512(uint64_t rounds) {
  __m512i a = _mm512_set1_epi16(0x3f80), b = _mm512_set1_epi16(0x3f80);
  __m512 sums[R_CHAINS_512];
  for (int i = 0; i < R_CHAINS_512; i++) sums[i] = _mm512_setzero_ps();
  R_LOOP_512("vdpbf16ps")
  return rounds * R_CHAINS_512 * 64;
}

R_AVX512 static uint64_t f32_avx512(uint64_t rounds) {
  __m512 a = _mm512_set1_ps(1.0f), b = _mm512_set1_ps(0.5f);
  __m512 sums[R_CHAINS_512];
  for (int i = 0; i < R_CHAINS_512; i++) sums[i] = _mm512_setzero_ps();
  R_LOOP_512("vfmadd231ps")
  return rounds * R_CHAINS_512 * 32;
}

#define R_STEP_256(i) __asm__ volatile("vfmadd231ps %2, %1, %0" : "+x"(sums[i]) : "x"(a), "x"(b))

R_AVX2 static uint64_t f32_avx2(uint64_t rounds) {
  __m256 a = _mm256_set1_ps(1.0f), b = _mm256_set1_ps(0.5f);
  __m256 sums[R_CHAINS_256];
  for (int i = 0; i < R_CHAINS_256; i++) sums[i] = _mm256_setzero_ps();
  for (uint64_t round = 0; round < rounds; round++) {
    R_STEP_256(0); R_STEP_256(1); R_STEP_256(2); R_STEP_256(3);
    R_STEP_256(4); R_STEP_256(5); R_STEP_256(6); R_STEP_256(7);
    R_STEP_256(8); R_STEP_256(9); R_STEP_256(10); R_STEP_256(11);
  }
  return rounds * R_CHAINS_256 * 16;
}

#define R_STEP_MADD(i)                                                                        \
  do {                                                                                        \
    __m256i product;                                                                          \
    __asm__ volatile("vpmaddubsw %2, %1, %0" : "=x"(product) : "x"(a), "x"(b));               \
    __asm__ volatile("vpmaddwd %1, %0, %0" : "+x"(product) : "x"(ones));                      \
    __asm__ volatile("vpaddd %1, %0, %0" : "+x"(sums[i]) : "x"(product));                     \
  } while (0)

R_AVX2 static uint64_t int8_avx2(uint64_t rounds) {
  __m256i a = _mm256_set1_epi8(3), b = _mm256_set1_epi8(1), ones = _mm256_set1_epi16(1);
  __m256i sums[R_CHAINS_MADD];
  for (int i = 0; i < R_CHAINS_MADD; i++) sums[i] = _mm256_setzero_si256();
  for (uint64_t round = 0; round < rounds; round++) {
    R_STEP_MADD(0); R_STEP_MADD(1); R_STEP_MADD(2); R_STEP_MADD(3);
    R_STEP_MADD(4); R_STEP_MADD(5); R_STEP_MADD(6); R_STEP_MADD(7);
  }
  return rounds * R_CHAINS_MADD * 64;
}
#endif

enum { R_PORTABLE_VECTORS = 8 };

static uint64_t f32_portable(uint64_t rounds) {
  typedef float lanes __attribute__((vector_size(16)));
  lanes a = {0.5f, 0.5f, 0.5f, 0.5f}, b = {1.0f, 1.0f, 1.0f, 1.0f};
  lanes sums[R_PORTABLE_VECTORS];
  for (int i = 0; i < R_PORTABLE_VECTORS; i++) sums[i] = a;
  for (uint64_t round = 0; round < rounds; round++) {
    for (int i = 0; i < R_PORTABLE_VECTORS; i++) sums[i] = sums[i] * a + b;
  }
  float total = 0;
  for (int i = 0; i < R_PORTABLE_VECTORS; i++) total += sums[i][0];
  volatile float kept = total;
  (void)kept;
  return rounds * R_PORTABLE_VECTORS * 8;
}

int r_can_run(r_arithmetic arithmetic) {
#if defined(__x86_64__)
  __builtin_cpu_init();
  switch (arithmetic) {
    case R_INT8_AVX512: return __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vnni");
    case R_BF16_AVX512: return __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512bf16");
    case R_F32_AVX512: return __builtin_cpu_supports("avx512bw") != 0;
    case R_INT8_AVX2:
    case R_F32_AVX2: return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    case R_F32_PORTABLE: return 1;
  }
#endif
  return arithmetic == R_F32_PORTABLE;
}

uint64_t r_compute(r_arithmetic arithmetic, uint64_t rounds) {
  if (!r_can_run(arithmetic)) return 0;
  switch (arithmetic) {
#if defined(__x86_64__)
    case R_INT8_AVX512: return int8_avx512(rounds);
    case R_INT8_AVX2: return int8_avx2(rounds);
    case R_BF16_AVX512: return bf16_avx512(rounds);
    case R_F32_AVX512: return f32_avx512(rounds);
    case R_F32_AVX2: return f32_avx2(rounds);
#endif
    case R_F32_PORTABLE: return f32_portable(rounds);
    default: return 0;
  }
}
