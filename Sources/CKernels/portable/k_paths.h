#pragma once
#include "k_kernels.h"

extern const k_kernels k_kernels_portable;
#if defined(__x86_64__)
extern const k_kernels k_kernels_avx2;
extern const k_kernels k_kernels_avx512;
#endif
