# mypy: allow-untyped-defs, allow-incomplete-defs
"""Runs of cells of a step grid, each cell an independent draw: algorithm and arithmetic of `cpu/cells.h`."""

import triton
import triton.language as tl

from .counters import (
    CELL_DOMAIN,
    H_DEVIATION,
    KIND_H,
    block_of_lanes,
    divide,
    draw,
    most,
    of_row,
    row_and_block,
)


@triton.jit(do_not_specialize=["seed", "batch", "channels", "blocks"])
def cells_kernel(
    firsts,
    counts,
    signs,
    grid,
    ids,
    out_w,
    out_h,
    seed: tl.int64,
    batch,
    channels,
    groups,
    blocks,
    AREA: tl.constexpr,
    RUN_PER_SAMPLE: tl.constexpr,
    GRID_PER_SAMPLE: tl.constexpr,
    LANES: tl.constexpr,
    PLANES: tl.constexpr,
    PACKED: tl.constexpr,
):
    REAL: tl.constexpr = out_w.dtype.element_ty
    row, block = row_and_block(blocks)
    sample, inside, group, id_low, id_high, place, exists = block_of_lanes(
        ids, row, block, batch, channels, groups, LANES, PLANES, PACKED
    )
    first = of_row(firsts, row, batch, sample, inside, RUN_PER_SAMPLE)
    count = of_row(counts, row, batch, sample, inside, RUN_PER_SAMPLE)
    sign = of_row(signs, row, batch, sample, inside, RUN_PER_SAMPLE).to(REAL)
    longest = most(count, RUN_PER_SAMPLE)
    stride = tl.full((), 1, tl.int64)
    column = 0
    if GRID_PER_SAMPLE:
        stride = tl.cast(batch, tl.int64)
        column = sample
    if RUN_PER_SAMPLE or GRID_PER_SAMPLE:
        count = tl.where(inside, count, 0)
    total_w = tl.zeros([LANES, PLANES], REAL)
    total_area = tl.zeros([LANES, PLANES], REAL)
    total_length = tl.full(count.shape, 0.0, REAL)
    for cell in range(0, longest):
        # A lane whose run has ended goes on with cells of length zero.
        in_run = cell < count
        at = tl.where(in_run, first + cell, 0)
        left = grid + at * stride + column
        if RUN_PER_SAMPLE or GRID_PER_SAMPLE:
            gap = tl.load(left + stride, mask=in_run, other=0.0) - tl.load(left, mask=in_run, other=0.0)
        else:
            gap = tl.load(left + stride) - tl.load(left)
        size = tl.abs(gap)
        length = size.to(REAL)
        deviation = tl.sqrt(size).to(REAL)
        # A descending grid goes back in time.
        step = tl.where(gap < 0.0, -deviation, deviation) * draw(
            at, CELL_DOMAIN, group, id_low, id_high, seed, PLANES, REAL
        )
        if AREA:
            normal = draw(at, CELL_DOMAIN | KIND_H, group, id_low, id_high, seed, PLANES, REAL)
            of_cell = length * ((tl.full((), H_DEVIATION, REAL) * deviation) * normal)
            total_area += of_cell + 0.5 * (length * total_w - total_length * step)
        total_w += step
        total_length += length
    tl.store(out_w + place, total_w * sign, mask=exists)
    if AREA:
        total_length = tl.where(total_length > 0.0, total_length, 1.0)
        tl.store(out_h + place, divide(total_area, total_length), mask=exists)
