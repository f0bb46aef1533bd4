# mypy: allow-untyped-defs, allow-incomplete-defs
"""Increments of the virtual tree: the algorithm and the arithmetic of `cpu/tree.h`, without anything kept.

A program answers one query for one block of lanes. It goes down from the root to the smallest node around
the interval, and from there to both ends. Lanes may have intervals of their own: levels are gone through
together, as far as the longest way of the program's lanes, and a lane that does not take part adds a piece
of length zero, which changes nothing, not even by rounding. W does not need the areas: where H is not wanted,
the compiler drops them.

Units: the span is 1, times are ticks of 2^-48. A node (level, k) is the interval [k, k + 1] 2^-level with its
W and H; a piece is an interval with its W, its area between path and chord (length * H) and its length.
"""

import triton
import triton.language as tl

from .counters import H_DEVIATION, KIND_H, block_of_lanes, divide, draw, least, most, of_row, row_and_block

TIME_BITS = tl.constexpr(48)
DEPTH = tl.constexpr(30)
LEAF_BITS = tl.constexpr(TIME_BITS.value - DEPTH.value)
SPAN = tl.constexpr(1 << TIME_BITS.value)
LEAVES = tl.constexpr(1 << DEPTH.value)
LEAF_TICKS = tl.constexpr(1 << LEAF_BITS.value)
TICK = tl.constexpr(2.0**-TIME_BITS.value)
LEAF_LENGTH = tl.constexpr(2.0**-DEPTH.value)
LEAF_DEVIATION = tl.constexpr(2.0 ** (-DEPTH.value // 2))
HALF_DEVIATION = tl.constexpr(0.14433756729740644113)  # sqrt(1/48)


@triton.jit
def highest_bit(x):
    """The number of the highest bit of 0 <= x < 2^53, by its exponent as a double; -1023 of zero."""
    return ((x.to(tl.float64).to(tl.int64, bitcast=True) >> 52) - 1023).to(tl.int32)


@triton.jit
def tick_bits(level):
    """A node of this level has 2 to this many ticks."""
    return tl.full((), TIME_BITS, tl.int32) - level


@triton.jit
def level_of(ticks):
    """The first level at which a time is the border of two nodes; 0 for both ends of the span."""
    marked = ticks | SPAN
    return tick_bits(highest_bit(marked & -marked))


@triton.jit
def node_length(level, REAL: tl.constexpr):
    return ((1023 - tl.cast(level, tl.int64)) << 52).to(tl.float64, bitcast=True).to(REAL)


@triton.jit
def split(w, h, level, k, group, id_low, id_high, seed, PLANES: tl.constexpr):
    """W and H of the left and of the right half of the node (level, k)."""
    # The deviation 2^(-level / 2) of the level's normals is made in double.
    scale = ((1023 - tl.cast(level, tl.int64) // 2) << 52).to(tl.float64, bitcast=True)
    scale *= tl.where(
        level % 2 == 1, tl.full((), 0.70710678118654752440, tl.float64), tl.full((), 1.0, tl.float64)
    )
    number = (1 << level) + k
    z = (0.25 * scale).to(w.dtype) * draw(number, 0, group, id_low, id_high, seed, PLANES, w.dtype)
    n = (scale * HALF_DEVIATION).to(w.dtype) * draw(
        number, KIND_H, group, id_low, id_high, seed, PLANES, w.dtype
    )
    w_left = 0.5 * w + (1.5 * h + z)
    h_shared = 0.25 * h - 0.5 * z
    return w_left, h_shared + n, w - w_left, h_shared - n


@triton.jit
def join(w_left, area_left, length_left, w_right, area_right, length_right):
    """Two adjacent pieces as one."""
    area = (area_left + area_right) + 0.5 * (length_right * w_left - length_left * w_right)
    return w_left + w_right, area, length_left + length_right


@triton.jit
def leaf_part(w, h, k, ticks, after, group, id_low, id_high, seed, PLANES: tl.constexpr):
    """The piece of leaf k before the point `ticks` into it, 0 < ticks < 2^18, or after it: exact bridge."""
    REAL: tl.constexpr = w.dtype
    r = ticks.to(tl.float64) / LEAF_TICKS
    product = r * (1.0 - r)
    deviation_x = tl.sqrt(product * (1.0 - 3.0 * product))
    slope = -0.5 * r * r * product / deviation_x
    variance_y = r * (1.0 - r * r * r) / 12.0 - slope * slope
    deviation_y = tl.sqrt(tl.where(variance_y > 0.0, variance_y, 0.0))
    x = (deviation_x * LEAF_DEVIATION).to(REAL)
    y_first = (slope * LEAF_DEVIATION).to(REAL)
    y_second = (deviation_y * LEAF_DEVIATION).to(REAL)
    before = (r * LEAF_LENGTH).to(REAL)
    rest = ((1.0 - r) * LEAF_LENGTH).to(REAL)
    number = k + LEAVES
    first = draw(number, 0, group, id_low, id_high, seed, PLANES, REAL)
    second = draw(number, KIND_H, group, id_low, id_high, seed, PLANES, REAL)
    w_before = r.to(REAL) * w + ((6.0 * product).to(REAL) * h + x * first)
    w_part = tl.where(after, w - w_before, w_before)
    area_before = before * ((r * r).to(REAL) * h + (y_first * first + y_second * second))
    # From the part that was rounded, as the C++ has it.
    w_left = tl.where(after, w - w_part, w_part)
    area_after = (h * LEAF_LENGTH - area_before) - 0.5 * (rest * w_left - before * (w - w_left))
    return w_part, tl.where(after, area_after, area_before), tl.where(after, rest, before)


@triton.jit
def walk(
    w,
    h,
    ticks,
    top,
    stop,
    group,
    id_low,
    id_high,
    seed,
    TO_THE_RIGHT: tl.constexpr,
    PER_SAMPLE: tl.constexpr,
    PLANES: tl.constexpr,
):
    """From a child of a node at level `top` down to level `stop`, towards an end of the interval.

    `ticks` is the first tick of the interval, whose part up to the child's right end is gathered
    (TO_THE_RIGHT), or the last one, whose part from the child's left end is. Returns the node arrived at and
    the piece gathered on the way.
    """
    REAL: tl.constexpr = w.dtype
    total_w = tl.zeros_like(w)
    total_area = tl.zeros_like(w)
    total_length = tl.full(stop.shape, 0.0, REAL)
    first = least(tl.where(stop > top + 1, top + 1, DEPTH), PER_SAMPLE)
    for level in range(first, most(stop, PER_SAMPLE)):
        k = ticks >> tick_bits(level)
        right = ((ticks >> tick_bits(level + 1)) & 1) == 1
        taking_part = (level > top) & (level < stop)
        w_left, h_left, w_right, h_right = split(w, h, level, k, group, id_low, id_high, seed, PLANES)
        taken = taking_part & (right != TO_THE_RIGHT)
        length = tl.where(taken, node_length(level + 1, REAL), 0.0)
        if TO_THE_RIGHT:
            piece = tl.where(taken, w_right, 0.0)
            total_w, total_area, total_length = join(
                piece, length * h_right, length, total_w, total_area, total_length
            )
        else:
            piece = tl.where(taken, w_left, 0.0)
            total_w, total_area, total_length = join(
                total_w, total_area, total_length, piece, length * h_left, length
            )
        w = tl.where(taking_part, tl.where(right, w_right, w_left), w)
        h = tl.where(taking_part, tl.where(right, h_right, h_left), h)
    return w, h, total_w, total_area, total_length


@triton.jit
def last_piece(
    w,
    h,
    ticks,
    whole,
    level,
    in_leaf,
    after,
    group,
    id_low,
    id_high,
    seed,
    PER_SAMPLE: tl.constexpr,
    PLANES: tl.constexpr,
):
    """What is left of a way down: the whole node of `level`, a part of a leaf, or nothing."""
    REAL: tl.constexpr = w.dtype
    length = tl.where(whole, node_length(level, REAL), 0.0)
    piece_w = tl.where(whole, w, 0.0)
    piece_area = length * h
    if most(in_leaf.to(tl.int32), PER_SAMPLE) != 0:
        # Lanes that are not in a leaf need some number at which the bridge is finite.
        inside = tl.where(in_leaf, ticks & (LEAF_TICKS - 1), LEAF_TICKS // 2)
        leaf_w, leaf_area, leaf_length = leaf_part(
            w, h, ticks >> LEAF_BITS, inside, after, group, id_low, id_high, seed, PLANES
        )
        piece_w = tl.where(in_leaf, leaf_w, piece_w)
        piece_area = tl.where(in_leaf, leaf_area, piece_area)
        length = tl.where(in_leaf, leaf_length, length)
    return piece_w, piece_area, length


@triton.jit(do_not_specialize=["scale_bits", "seed", "batch", "channels", "blocks"])
def tree_kernel(
    lows,
    highs,
    backwards,
    ids,
    out_w,
    out_h,
    scale_bits: tl.int64,
    seed: tl.int64,
    batch,
    channels,
    groups,
    blocks,
    AREA: tl.constexpr,
    PER_SAMPLE: tl.constexpr,
    LANES: tl.constexpr,
    PLANES: tl.constexpr,
    PACKED: tl.constexpr,
):
    REAL: tl.constexpr = out_w.dtype.element_ty
    row, block = row_and_block(blocks)
    sample, inside, group, id_low, id_high, place, exists = block_of_lanes(
        ids, row, block, batch, channels, groups, LANES, PLANES, PACKED
    )
    low = of_row(lows, row, batch, sample, inside, PER_SAMPLE)
    high = of_row(highs, row, batch, sample, inside, PER_SAMPLE)
    back = of_row(backwards, row, batch, sample, inside, PER_SAMPLE) != 0
    empty = low == high
    last = tl.where(empty, low, high - 1)

    # The smallest node around the interval, at level `top`: `low` and `last` agree in its bits.
    around = tick_bits(highest_bit(low ^ last) + 1)
    top = tl.where(empty, 0, tl.minimum(around, DEPTH))
    start = (low >> tick_bits(top)) << tick_bits(top)
    end = start + (tl.full((), 1, tl.int64) << tick_bits(top))
    whole = (low == start) & (high == end)
    in_one_leaf = (around >= DEPTH) & ~empty & ~whole
    divided = (around < DEPTH) & ~whole

    # Down to that node and, where the interval is divided, to its two children: the one way of both ends.
    w = draw(0, 0, group, id_low, id_high, seed, PLANES, REAL)
    h = tl.full((), H_DEVIATION, REAL) * draw(0, KIND_H, group, id_low, id_high, seed, PLANES, REAL)
    w_high = w
    h_high = h
    stop = top + divided.to(tl.int32)
    for level in range(0, most(stop, PER_SAMPLE)):
        w_left, h_left, w_right, h_right = split(
            w, h, level, low >> tick_bits(level), group, id_low, id_high, seed, PLANES
        )
        taking_part = level < stop
        right = ((low >> tick_bits(level + 1)) & 1) == 1
        right_high = ((last >> tick_bits(level + 1)) & 1) == 1
        w_high = tl.where(taking_part, tl.where(right_high, w_right, w_left), w_high)
        h_high = tl.where(taking_part, tl.where(right_high, h_right, h_left), h_high)
        w = tl.where(taking_part, tl.where(right, w_right, w_left), w)
        h = tl.where(taking_part, tl.where(right, h_right, h_left), h)

    # From the low end to the middle, and from the middle to the high end.
    level_low = level_of(low)
    level_high = level_of(high)
    low_in_leaf = (divided | in_one_leaf) & (level_low > DEPTH)
    high_in_leaf = (divided | in_one_leaf) & (level_high > DEPTH)
    difference = in_one_leaf & low_in_leaf & high_in_leaf
    stop_low = tl.where(divided, tl.maximum(tl.minimum(level_low, DEPTH), top + 1), top)
    stop_high = tl.where(divided, tl.maximum(tl.minimum(level_high, DEPTH), top + 1), top)
    w, h, left_w, left_area, left_length = walk(
        w, h, low, top, stop_low, group, id_low, id_high, seed, True, PER_SAMPLE, PLANES
    )
    piece_w, piece_area, piece_length = last_piece(
        w,
        h,
        low,
        whole | (divided & (level_low <= DEPTH)),
        stop_low,
        low_in_leaf,
        ~difference,
        group,
        id_low,
        id_high,
        seed,
        PER_SAMPLE,
        PLANES,
    )
    left_w, left_area, left_length = join(piece_w, piece_area, piece_length, left_w, left_area, left_length)
    w, h, right_w, right_area, right_length = walk(
        w_high, h_high, last, top, stop_high, group, id_low, id_high, seed, False, PER_SAMPLE, PLANES
    )
    piece_w, piece_area, piece_length = last_piece(
        w,
        h,
        high,
        divided & (level_high <= DEPTH),
        stop_high,
        high_in_leaf,
        tl.zeros_like(difference),
        group,
        id_low,
        id_high,
        seed,
        PER_SAMPLE,
        PLANES,
    )
    right_w, right_area, right_length = join(
        right_w, right_area, right_length, piece_w, piece_area, piece_length
    )

    total_w, total_area, total_length = join(
        left_w, left_area, left_length, right_w, right_area, right_length
    )
    # Both ends in one leaf: the left piece is the shorter beginning of the right one.
    between = ((high - low).to(tl.float64) * TICK).to(REAL)
    w_between = right_w - left_w
    area_between = (right_area - left_area) - 0.5 * (between * left_w - left_length * w_between)
    total_w = tl.where(difference, w_between, total_w)
    scale = tl.cast(scale_bits, tl.int64).to(tl.float64, bitcast=True).to(REAL)
    tl.store(out_w + place, tl.where(empty, 0.0, tl.where(back, -scale, scale) * total_w), mask=exists)
    if AREA:
        total_area = tl.where(difference, area_between, total_area)
        total_length = tl.where(empty, 1.0, tl.where(difference, between, total_length))
        tl.store(out_h + place, tl.where(empty, 0.0, divide(scale, total_length) * total_area), mask=exists)
