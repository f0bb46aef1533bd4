"""A kernel that a compiler would like to contract. Imported only where Triton compiles."""

import triton
import triton.language as tl


@triton.jit
def multiply_add(x, y, z, out, LANES: tl.constexpr):
    at = tl.arange(0, LANES)
    tl.store(out + at, tl.load(x + at) * tl.load(y + at) + tl.load(z + at))
