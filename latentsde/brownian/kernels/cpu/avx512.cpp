// For x86-64 with the AVX-512 of Skylake servers, Ice Lake, Zen 4 and newer.
#include "kernels.h"

#if defined(LATENTSDE_X86)
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512dq,avx512vl,avx512bw,fma"))), apply_to = function)
#else
// The intrinsics of some GCCs read a register that they leave undefined on purpose.
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC target("avx512f,avx512dq,avx512vl,avx512bw,fma,prefer-vector-width=512")
#endif
#include <immintrin.h>

#define LATENTSDE_AVX512 1
#define LATENTSDE_FMA 1
#define KERNELS avx512_kernels
#define NAME "avx512"
#include "instructions.h"

#if defined(__clang__)
#pragma clang attribute pop
#endif
#endif
