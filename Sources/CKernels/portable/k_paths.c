#include "k_paths.h"

const k_kernels *k_kernels_for(k_path path) {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (path == K_PATH_AVX512) {
    int runs = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl")
               && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vnni");
    return runs ? &k_kernels_avx512 : NULL;
  }
  if (path == K_PATH_AVX2) {
    int runs = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
    return runs ? &k_kernels_avx2 : NULL;
  }
#endif
  return path == K_PATH_PORTABLE ? &k_kernels_portable : NULL;
}

const k_kernels *k_kernels_best(void) {
  const k_kernels *best = k_kernels_for(K_PATH_AVX512);
  if (best == NULL) best = k_kernels_for(K_PATH_AVX2);
  return best != NULL ? best : &k_kernels_portable;
}

int k_format_is_quantized(k_format format) { return format < K_FORMAT_F16; }
