// For x86-64 with AVX2 and fused multiply-add, every one since about 2014.
#include "kernels.h"

#if defined(LATENTSDE_X86)
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
// The intrinsics of some GCCs read a register that they leave undefined on purpose.
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC target("avx2,fma")
#endif
#include <immintrin.h>

#define LATENTSDE_AVX2 1
#define LATENTSDE_FMA 1
#define KERNELS avx2_kernels
#define NAME "avx2"
#include "instructions.h"

#if defined(__clang__)
#pragma clang attribute pop
#endif
#endif
