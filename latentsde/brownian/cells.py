"""Runs of cells of a step grid in plain PyTorch and float64: the reference of the kernels, for any device."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .normals import normals
from .philox import CELL_DOMAIN, KIND_H, KIND_W

# Numbers of one intermediate result: bounds the memory of a query whatever its size.
_BLOCK = 2**19


def cell_increments(
    first: Tensor, cells: Tensor, grid: Tensor, ids: Tensor, *, seed: int, channels: int
) -> tuple[Tensor, Tensor]:
    """W and H, in the direction of growing indices, over runs of `cells` adjacent cells from `first` on.

    Args:
        first, cells: int64 (n, 1), or (n, batch) with a run for each sample; a run of 0 cells gives zeros.
        grid: float64 (points, 1) or (points, batch).

    Returns:
        Float64 (n, batch, channels) each.
    """
    rows = max(1, _BLOCK // max(1, len(ids) * channels))
    parts = [
        _run(*part, grid, ids, seed, channels)
        for part in zip(first.split(rows), cells.split(rows), strict=True)
    ]
    w, h = (torch.cat(values) for values in zip(*parts, strict=True))
    return w, h


def _run(
    first: Tensor, cells: Tensor, grid: Tensor, ids: Tensor, seed: int, channels: int
) -> tuple[Tensor, Tensor]:
    shape = (len(first), len(ids), channels)
    w = torch.zeros(shape, dtype=torch.float64, device=ids.device)
    area = torch.zeros_like(w)
    total = torch.zeros(
        *torch.broadcast_shapes(first.shape, (1, grid.shape[1])), 1, dtype=w.dtype, device=w.device
    )
    gaps = grid.diff(dim=0, append=grid[-1:])
    for cell in range(int(cells.max()) if cells.numel() else 0):
        inside = cell < cells
        node = torch.where(inside, first + cell, 0)
        column = gaps.expand(-1, node.shape[1]) if gaps.shape[1] == 1 else gaps
        gap = column.gather(0, node.expand(-1, column.shape[1]))
        gap = torch.where(inside, gap, 0.0).unsqueeze(-1)
        length = gap.abs()
        deviation = length.sqrt()
        names = ids.unsqueeze(0)
        w_cell = gap.sign() * deviation * normals(node, names, channels, CELL_DOMAIN | KIND_W, seed)
        h_cell = (
            deviation * math.sqrt(1.0 / 12.0) * normals(node, names, channels, CELL_DOMAIN | KIND_H, seed)
        )
        # The areas between path and chord, and the triangle between the two chords and the joined one.
        area = area + length * h_cell + 0.5 * (length * w - total * w_cell)
        w, total = w + w_cell, total + length
    return w, area / torch.where(total == 0, 1.0, total)
