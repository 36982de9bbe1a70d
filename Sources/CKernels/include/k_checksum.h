#pragma once
#include <stddef.h>
#include <stdint.h>

/// CRC-32C (Castagnoli, reflected) of `size` bytes, continued from `crc` (0 to start).
uint32_t k_crc32c(uint32_t crc, const void *data, size_t size);

/// The same, without special instructions; k_crc32c is compared with it.
uint32_t k_crc32c_portable(uint32_t crc, const void *data, size_t size);
