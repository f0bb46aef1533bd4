// All kernels for one instruction set. The including file has chosen it, and has named the table.
//
// Nothing from the standard library is used in here: an inline function of it compiled for a newer processor could be
// picked by the linker for everybody.

#define INLINE static inline __attribute__((always_inline))
#define RESTRICT __restrict__

namespace latentsde {
namespace {

#include "philox.h"
#include "normals.h"
#include "tree.h"
#include "cells.h"

void words(const uint32_t* counter, size_t count, Key key, uint32_t* out) {
    for (size_t begin = 0; begin < count; begin += LANES) {
        alignas(64) uint32_t block[4][LANES] = {};
        const size_t lanes = count - begin < LANES ? count - begin : LANES;
        for (int w = 0; w < 4; w++)
            for (size_t i = 0; i < lanes; i++) block[w][i] = counter[w * count + begin + i];
        philox(block, key);
        for (int w = 0; w < 4; w++)
            for (size_t i = 0; i < lanes; i++) out[w * count + begin + i] = block[w][i];
    }
}

}  // namespace

extern const Kernels KERNELS = {NAME,
                                words,
                                {tree<float>, tree<double>},
                                {cells<float>, cells<double>},
                                {plain_normals<float>, plain_normals<double>}};

}  // namespace latentsde
