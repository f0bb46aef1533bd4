// For every processor: SSE2 on x86-64, NEON on ARM64, whose multiply-add is fused.
#include "kernels.h"

#if defined(LATENTSDE_X86)
#include <emmintrin.h>
#elif defined(__ARM_FEATURE_FMA)
#define LATENTSDE_FMA 1
#endif

#define KERNELS baseline_kernels
#define NAME "baseline"
#include "instructions.h"
