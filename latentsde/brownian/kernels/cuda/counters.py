# mypy: allow-untyped-defs, allow-incomplete-defs
"""Words and normals of a block of counters: the algorithm and the arithmetic of `cpu/normals.h`.

A program has LANES counters, one below the other in columns (LANES, 1); each makes the normals of four
adjacent channels of one sample, a row of (LANES, PLANES). With two channels or fewer PLANES is 2 and the
second half of the words is not transformed. What all lanes share may be a scalar instead of a column.

Fused multiply-adds are where the source says `tl.fma` and nowhere else (the launches forbid the compiler to
make others), and divisions and roots are rounded to nearest: so the bits are those of the C++.
"""

import triton
import triton.language as tl

CHANNELS_OF_A_COUNTER = tl.constexpr(4)
CELL_DOMAIN = tl.constexpr(1 << 31)
KIND_H = tl.constexpr(1 << 29)
H_DEVIATION = tl.constexpr(0.28867513459481288225)  # sqrt(1/12)


def _coefficients(powers):
    return tl.constexpr(tuple(float.fromhex(coefficient) for coefficient in powers.split()))


# Polynomials, the highest power first.
LOG_32 = _coefficients(
    "-0x1.38b4ccp-4 0x1.055b46p-3 -0x1.0d8552p-3 0x1.22da22p-3 -0x1.547244p-3 0x1.99a008p-3 -0x1.000228p-2 "
    "0x1.555554p-2"
)
LOG_64 = _coefficients(
    "0x1.2b584abe1acc3p-3 0x1.39fe6063c42c6p-3 0x1.7462b4ab3d096p-3 0x1.c71c62e57fca7p-3 "
    "0x1.2492492df1491p-2 0x1.99999999952e2p-2 0x1.5555555555558p-1"
)
SINE_32 = _coefficients("-0x1.2ee7bcp+6 0x1.4665e8p+6 -0x1.4abbccp+5 -0x1.777a5cp-23")
SINE_64 = _coefficients(
    "-0x1.6cc577d7c0c54p-1 0x1.e8f036bcc905bp+1 -0x1.e3074d2614a63p+3 0x1.50783486facaap+5 "
    "-0x1.32d2cce62b872p+6 0x1.466bc6775aae1p+6 -0x1.4abbce625be53p+5 0x1.1a62633145c07p-52"
)
COSINE_32 = _coefficients("0x1.db6492p+5 -0x1.55cb98p+6 0x1.03c1eap+6 -0x1.37c8bcp-21")
COSINE_64 = _coefficients(
    "-0x1.b2f3eb0115ebap+0 0x1.f9ce245c9ff41p+2 -0x1.a6d1eef479acfp+4 0x1.e1f5068688d59p+5 "
    "-0x1.55d3c7e3cb241p+6 0x1.03c1f081b5ac0p+6 -0x1.3bd3cc9be45dep+4 0x1p+0"
)
# ln 2 and 2 pi in two parts, the first of which ends in zeros.
LN2_32, LN2_REST_32 = (tl.constexpr(float.fromhex(part)) for part in ("0x1.62e3p-1", "-0x1.2fefa4p-17"))
LN2_64, LN2_REST_64 = (
    tl.constexpr(float.fromhex(part)) for part in ("0x1.62e42fee00000p-1", "-0x1.a39ef35793c76p-33")
)
TURN_32 = tl.constexpr(float.fromhex("0x1.921fb6p+2"))
TURN_64 = tl.constexpr(float.fromhex("0x1.921fb54442d18p+2"))
TURN_UNIT = tl.constexpr(2.0**-33)
COSINE_SQUARE_32 = tl.constexpr(float.fromhex("-0x1.3bd3ccp+4"))


@triton.jit
def fused(x, y, CONSTANT: tl.constexpr):
    """x * y + CONSTANT, rounded once; the constant in x's precision, which `tl.fma` does not promise."""
    return tl.fma(x, y, tl.full(x.shape, CONSTANT, x.dtype))


@triton.jit
def polynomial(x, COEFFICIENTS: tl.constexpr, DEGREE: tl.constexpr):
    value = tl.full(x.shape, COEFFICIENTS[0], x.dtype)
    for i in tl.static_range(1, DEGREE + 1):
        value = fused(x, value, COEFFICIENTS[i])
    return value


@triton.jit
def divide(x, y):
    if x.dtype == tl.float32:
        return tl.div_rn(x, y)
    else:
        return x / y


@triton.jit
def radius_32(word):
    """sqrt(-2 ln u), u = (word + 1/2) 2^-32, and what its rounding left out."""
    # word + 1/2 as top + low, both exact: float32 has 24 bits of the 33.
    large = (word >> 23) != 0
    top = tl.where(large, word >> 8, word).to(tl.int32).to(tl.float32) + tl.where(large, 0.0, 0.5)
    low = tl.where(large, (word & 255).to(tl.int32).to(tl.float32) + 0.5, 0.0)
    # u = 2^exponent (1 + f) with 1 + f between sqrt(1/2) and sqrt(2), so that u near 1 has exponent 0 and an
    # exact f.
    shifted = top.to(tl.int32, bitcast=True) + (0x3F800000 - 0x3F3504F3)
    power = (shifted >> 23) - 127
    mantissa = ((shifted & 0x7FFFFF) + 0x3F3504F3).to(tl.float32, bitcast=True)
    f = tl.fma(low, ((127 - 8 - power) << 23).to(tl.float32, bitcast=True), mantissa - 1.0)
    exponent = (power - tl.where(large, 24, 32)).to(tl.float32)
    # ln(1 + f) = f - tail
    tail = (f * f) * fused(-f, polynomial(f, LOG_32, 7), 0.5)
    large_part = exponent * LN2_32
    small_part = f - tl.fma(exponent, tl.full(exponent.shape, LN2_REST_32, tl.float32), tail)
    log = large_part + small_part
    square = -2.0 * log
    radius = tl.sqrt_rn(square)
    # What the sum and the root rounded off, over twice the radius, by a rough inverse: three digits suffice.
    lost = tl.fma(-radius, radius, square) * 0.5 - (small_part - (log - large_part))
    inverse = (0x5F3759DF - (square.to(tl.int32, bitcast=True) >> 1)).to(tl.float32, bitcast=True)
    return radius, lost * inverse


@triton.jit
def radius_64(word):
    x = word.to(tl.float64) + 0.5
    shifted = x.to(tl.int64, bitcast=True) + (0x3FF0000000000000 - 0x3FE6A09E667F3BCD)
    exponent = ((shifted >> 52) - (1023 + 32)).to(tl.float64)
    mantissa = (shifted & 0xFFFFFFFFFFFFF) + 0x3FE6A09E667F3BCD
    f = mantissa.to(tl.float64, bitcast=True) - 1.0
    # ln(1 + f) = f - tail, by s = f / (2 + f): ln(1 + f) = 2 artanh s.
    s = f / (2.0 + f)
    z = s * s
    half = 0.5 * f * f
    tail = half - s * (half + z * polynomial(z, LOG_64, 6))
    small_part = f - tl.fma(exponent, tl.full(exponent.shape, LN2_REST_64, tl.float64), tail)
    return tl.sqrt(-2.0 * (exponent * LN2_64 + small_part))


@triton.jit
def sine_cosine_32(t):
    """Sine and cosine of 2 pi t, |t| <= 1/8."""
    z = t * t
    sine = tl.fma(t, tl.full(t.shape, TURN_32, tl.float32), t * polynomial(z, SINE_32, 3))
    cosine = 1.0 + tl.fma(z, tl.full(z.shape, COSINE_SQUARE_32, tl.float32), z * polynomial(z, COSINE_32, 3))
    return sine, cosine


@triton.jit
def sine_cosine_64(t):
    z = t * t
    sine = tl.fma(t, tl.full(t.shape, TURN_64, tl.float64), t * polynomial(z, SINE_64, 7))
    return sine, polynomial(z, COSINE_64, 7)


@triton.jit
def with_sign(x, negative):
    if x.dtype == tl.float32:
        return (x.to(tl.uint32, bitcast=True) ^ (negative << 31)).to(tl.float32, bitcast=True)
    else:
        return (x.to(tl.uint64, bitcast=True) ^ (negative.to(tl.uint64) << 63)).to(tl.float64, bitcast=True)


@triton.jit
def box_muller(first, second, REAL: tl.constexpr):
    """Two words to two normals: radius (cos, sin)(2 pi (second + 1/2) 2^-32)."""
    # The nearest quarter turn, and the signed rest in units of 2^-33 turns, an odd integer.
    quarter = (second + 0x20000000) >> 30
    odd = (2 * (second - (quarter << 30)) + 1).to(tl.int32, bitcast=True)
    t = odd.to(REAL) * TURN_UNIT
    swapped = (quarter & 1) != 0
    if tl.float32 == REAL:
        radius, rest = radius_32(first)
        sine, cosine = sine_cosine_32(t)
        x = tl.where(swapped, sine, cosine)
        y = tl.where(swapped, cosine, sine)
        x = tl.fma(radius, x, rest * x)
        y = tl.fma(radius, y, rest * y)
    else:
        radius = radius_64(first)
        sine, cosine = sine_cosine_64(t)
        x = radius * tl.where(swapped, sine, cosine)
        y = radius * tl.where(swapped, cosine, sine)
    return with_sign(x, ((quarter + 1) >> 1) & 1), with_sign(y, quarter >> 1)


@triton.jit
def draw(node, kind: tl.constexpr, group, id_low, id_high, seed, PLANES: tl.constexpr, REAL: tl.constexpr):
    """The normals (LANES, PLANES) of a node, all lanes' or each its own; `kind` is domain and kind."""
    c0, c1, c2, c3 = tl.philox(
        seed, tl.cast(node, tl.uint32), group | tl.full((), kind, tl.uint32), id_low, id_high
    )
    if PLANES == 4:
        first, second = box_muller(tl.join(c0, c2), tl.join(c1, c3), REAL)
    else:
        first, second = box_muller(c0, c1, REAL)
    return tl.reshape(tl.join(first, second), [group.shape[0], PLANES])


@triton.jit
def block_of_lanes(
    ids, row, block, batch, channels, groups, LANES: tl.constexpr, PLANES: tl.constexpr, PACKED: tl.constexpr
):
    """Which counters a block has and where their normals belong.

    Returns sample, inside, group, id low, id high, all (LANES, 1), and (LANES, PLANES) the places in the
    answer (rows, batch, channels) and which of them exist.
    """
    lane = block * LANES + tl.arange(0, LANES)[:, None]
    plane = tl.arange(0, PLANES)[None, :]
    sample = lane // groups
    group = lane % groups
    inside = sample < batch
    id = tl.load(ids + sample, mask=inside, other=0)
    if PACKED:
        # Whole lanes one after the other: said so that the compiler stores four numbers at once.
        place = (row * batch * groups + lane) * CHANNELS_OF_A_COUNTER + plane
        exists = inside & (plane >= 0)
    else:
        channel = group * CHANNELS_OF_A_COUNTER + plane
        place = (row * batch + sample) * channels + channel
        exists = inside & (channel < channels)
    return sample, inside, group.to(tl.uint32), id.to(tl.uint32), (id >> 32).to(tl.uint32), place, exists


@triton.jit
def row_and_block(blocks):
    """The query and the block of lanes of this program."""
    # In one dimension: a second one ends at 65,535.
    program = tl.program_id(0)
    return (program // blocks).to(tl.int64), program % blocks


@triton.jit
def of_row(array, row, batch, sample, inside, PER_SAMPLE: tl.constexpr):
    """Row `row` of an array (rows, batch) as a column of lanes, zero outside, or of (rows, 1) as a scalar."""
    if PER_SAMPLE:
        return tl.load(array + row * batch + sample, mask=inside, other=0)
    else:
        return tl.load(array + row)


@triton.jit
def most(x, PER_SAMPLE: tl.constexpr):
    """The largest of a column of lanes, or the scalar that all of them share."""
    if PER_SAMPLE:
        return tl.max(x)
    else:
        return x


@triton.jit
def least(x, PER_SAMPLE: tl.constexpr):
    if PER_SAMPLE:
        return tl.min(x)
    else:
        return x


@triton.jit(do_not_specialize=["count", "seed"])
def words_kernel(counters, out, count: tl.int64, seed: tl.int64, LANES: tl.constexpr):
    at = tl.program_id(0).to(tl.int64) * LANES + tl.arange(0, LANES)
    inside = at < count
    c0 = tl.load(counters + at, mask=inside, other=0).to(tl.uint32)
    c1 = tl.load(counters + count + at, mask=inside, other=0).to(tl.uint32)
    c2 = tl.load(counters + count * 2 + at, mask=inside, other=0).to(tl.uint32)
    c3 = tl.load(counters + count * 3 + at, mask=inside, other=0).to(tl.uint32)
    c0, c1, c2, c3 = tl.philox(seed, c0, c1, c2, c3)
    tl.store(out + at, c0.to(tl.int64), mask=inside)
    tl.store(out + count + at, c1.to(tl.int64), mask=inside)
    tl.store(out + count * 2 + at, c2.to(tl.int64), mask=inside)
    tl.store(out + count * 3 + at, c3.to(tl.int64), mask=inside)


@triton.jit(do_not_specialize=["seed", "batch", "channels", "blocks"])
def normals_kernel(
    nodes,
    ids,
    out,
    seed: tl.int64,
    batch,
    channels,
    groups,
    blocks,
    KIND: tl.constexpr,
    PER_SAMPLE: tl.constexpr,
    LANES: tl.constexpr,
    PLANES: tl.constexpr,
    PACKED: tl.constexpr,
):
    row, block = row_and_block(blocks)
    sample, inside, group, id_low, id_high, place, exists = block_of_lanes(
        ids, row, block, batch, channels, groups, LANES, PLANES, PACKED
    )
    node = of_row(nodes, row, batch, sample, inside, PER_SAMPLE)
    normal = draw(node, KIND, group, id_low, id_high, seed, PLANES, out.dtype.element_ty)
    tl.store(out + place, normal, mask=exists)
