"""Launches of the Triton kernels: tensors of one device in and out, no synchronisation with the host.

Arguments are trusted, as in `kernels/cpu`: the path classes have checked them. A number does not depend on
what else is asked for in the same call.
"""

from __future__ import annotations

import struct
from math import sqrt
from typing import Any

import torch
from torch import Tensor

from ...philox import signed_seed
from .cells import cells_kernel
from .counters import CHANNELS_OF_A_COUNTER, normals_kernel, words_kernel
from .tree import tree_kernel

LANES = 128
"""Counters of a program: one for each thread of its four warps."""


def words(counter: Tensor, seed: int) -> Tensor:
    """Philox4x32-10 of counters (4, n), integers modulo 2^32, as int64 (4, n)."""
    counters = (counter.to(torch.int64) & 0xFFFFFFFF).contiguous()
    out = torch.empty_like(counters)
    count = counters.shape[1]
    if count:
        with torch.cuda.device_of(counters):
            words_kernel[(-(-count // LANES),)](counters, out, count, signed_seed(seed), LANES, **COMPILATION)
    return out


def normals(
    nodes: Tensor, ids: Tensor, seed: int, channels: int, domain_and_kind: int, dtype: torch.dtype
) -> Tensor:
    """Standard normals (n, batch, channels) of int64 nodes (n,), (n, 1) or (n, batch) and ids (batch,).

    `domain_and_kind` has the upper bits of the counter's second word. It is compiled in: there are four.
    """
    out = torch.empty(nodes.shape[0], ids.shape[0], channels, dtype=dtype, device=ids.device)
    run(
        normals_kernel,
        (nodes.contiguous(), ids.contiguous(), out, signed_seed(seed)),
        out,
        KIND=domain_and_kind,
        PER_SAMPLE=nodes.shape[1:].numel() > 1,
    )
    return out


def tree_increments(
    low: Tensor,
    high: Tensor,
    backwards: Tensor,
    ids: Tensor,
    seed: int,
    span: float,
    channels: int,
    area: bool,
    dtype: torch.dtype,
) -> tuple[Tensor, Tensor | None]:
    """W and, with `area`, H (n, batch, channels) of the virtual tree over n intervals of a path.

    Args:
        low, high: the ends in ticks of 2^-48 of the span, int64 (n,), (n, 1) or (n, batch), with
            0 <= low <= high <= 2^48. Equal ends give zeros.
        backwards: bool, of the same shape: -W is given, and H.
        ids: int64 (batch,).
        span: t1 - t0, in the unit of time of the answers.
        dtype: float32 or float64, of the answers.
    """
    w = torch.empty(low.shape[0], ids.shape[0], channels, dtype=dtype, device=ids.device)
    h = torch.empty_like(w) if area else None
    # A Python float would be handed over in float32.
    scale_bits = struct.unpack("<q", struct.pack("<d", sqrt(span)))[0]
    run(
        tree_kernel,
        (
            low.contiguous(),
            high.contiguous(),
            backwards.contiguous(),
            ids.contiguous(),
            w,
            w if h is None else h,
            scale_bits,
            signed_seed(seed),
        ),
        w,
        AREA=area,
        PER_SAMPLE=low.shape[1:].numel() > 1,
    )
    return w, h


def cell_increments(
    first: Tensor,
    cells: Tensor,
    sign: Tensor,
    grid: Tensor,
    ids: Tensor,
    seed: int,
    channels: int,
    area: bool,
    dtype: torch.dtype,
) -> tuple[Tensor, Tensor | None]:
    """W and, with `area`, H (n, batch, channels) over n runs of adjacent cells of a step grid.

    Args:
        first, cells: the first cell of a run and how many it has, integers (n, 1) or (n, batch). No cells
            give zeros.
        sign: of W, 1 or -1, of the same shape.
        grid: float64 times (points, 1) or (points, batch), increasing or decreasing.
        ids, seed, channels, area, dtype: as of `tree_increments`.
    """
    w = torch.empty(first.shape[0], ids.shape[0], channels, dtype=dtype, device=ids.device)
    h = torch.empty_like(w) if area else None
    run(
        cells_kernel,
        (
            first.contiguous(),
            cells.contiguous(),
            sign.contiguous(),
            grid.contiguous(),
            ids.contiguous(),
            w,
            w if h is None else h,
            signed_seed(seed),
        ),
        w,
        AREA=area,
        RUN_PER_SAMPLE=first.shape[1] > 1,
        GRID_PER_SAMPLE=grid.shape[1] > 1,
    )
    return w, h


COMPILATION = {"num_warps": LANES // 32, "enable_fp_fusion": False}


def run(kernel: Any, arguments: tuple[Any, ...], out: Tensor, **constants: Any) -> None:
    """Launch a kernel for all rows and lanes of its answer (n, batch, channels)."""
    rows, batch, channels = out.shape
    if out.numel() == 0:
        return
    per_counter = CHANNELS_OF_A_COUNTER.value
    groups = -(-channels // per_counter)
    blocks = -(-batch * groups // LANES)
    if rows * blocks >= 2**31 or blocks * LANES >= 2**31:
        raise ValueError(
            f"{tuple(out.shape)} normals are too many for one call; ask for fewer intervals at once"
        )
    with torch.cuda.device_of(out):
        kernel[(rows * blocks,)](
            *arguments,
            batch,
            channels,
            groups,
            blocks,
            **constants,
            LANES=LANES,
            PLANES=2 if channels <= 2 else per_counter,
            PACKED=channels % per_counter == 0,
            **COMPILATION,
        )
