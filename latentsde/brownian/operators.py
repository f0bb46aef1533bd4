"""Paths as operators of PyTorch, so that a compiled graph can hold them: `torch.compile(fullgraph=True)`.

An operator's answer is a function of its arguments. Outside compiled graphs paths do without them: going
through PyTorch's dispatcher takes longer than a small increment.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .aligned import AlignedPath
from .increments import Increments
from .tree import VirtualBrownianTree


@torch.library.custom_op("latentsde::tree_increments", mutates_args=())
def tree_increments(
    times: Tensor, ids: Tensor, seed: int, t0: float, t1: float, channels: int, area: bool, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """W and H (n-1, batch, channels) of `VirtualBrownianTree` over the intervals of times (n,) or (n, batch).

    H is empty (0,) without `area`.
    """
    path = VirtualBrownianTree(
        t0,
        t1,
        (len(ids), channels),
        seed=seed,
        ids=ids,
        levy_area="space-time" if area else None,
        dtype=dtype,
        device=ids.device,
    )
    return _pair(path.increments(times))


@torch.library.custom_op("latentsde::cell_increments", mutates_args=())
def cell_increments(
    times: Tensor, grid: Tensor, ids: Tensor, seed: int, channels: int, area: bool, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """W and H (n-1, batch, channels) of `AlignedPath` over the intervals of times (n,) or (n, batch).

    H is empty (0,) without `area`.
    """
    path = AlignedPath(
        (len(ids), channels),
        grid,
        seed=seed,
        ids=ids,
        levy_area="space-time" if area else None,
        dtype=dtype,
        device=ids.device,
    )
    return _pair(path.increments(times))


def _pair(increments: Increments) -> tuple[Tensor, Tensor]:
    return increments.W, increments.W.new_empty(0) if increments.H is None else increments.H


@tree_increments.register_fake
def _(
    times: Tensor, ids: Tensor, seed: int, t0: float, t1: float, channels: int, area: bool, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    return _shapes(times, ids, channels, area, dtype)


@cell_increments.register_fake
def _(
    times: Tensor, grid: Tensor, ids: Tensor, seed: int, channels: int, area: bool, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    return _shapes(times, ids, channels, area, dtype)


def _shapes(
    times: Tensor, ids: Tensor, channels: int, area: bool, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    steps = torch.sym_max(0, times.shape[0] - 1)
    shape = (steps, ids.shape[0], channels)
    w = torch.empty(shape, dtype=dtype, device=ids.device)
    return w, torch.empty(shape if area else (0,), dtype=dtype, device=ids.device)
