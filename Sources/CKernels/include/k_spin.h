#pragma once

/// Tells the core that the thread spins, so that it saves power and yields to its sibling.
static inline void k_spin_pause(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}
