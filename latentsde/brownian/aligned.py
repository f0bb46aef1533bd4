"""AlignedPath: a path whose nodes are the points of a step grid, so that one draw makes one step."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from .increments import Increments
from .path import Path
from .philox import CELL_DOMAIN, key_of, normal_pair

_BLOCK = 2**20


class AlignedPath(Path):
    """The path that draws (W, H) of cell k of `grid` from the counter (cell k, channel, id): independent
    cells, exact law.

    Args:
        shape: (batch, ...) of W.
        grid: (times,) for all samples or (times, batch), one each; increasing or decreasing, repeated times
            allowed (a sample's padding). The grid is part of the path's identity; a sample's path does not
            depend on the other samples' grids.
        seed, ids, levy_area, dtype, device: as in `VirtualBrownianTree`.

    Times that are not points of the grid are a ValueError.
    """

    def __init__(
        self,
        shape: Sequence[int],
        grid: Tensor | Sequence[float],
        *,
        seed: int,
        ids: Tensor | None = None,
        levy_area: str | None = None,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> None:
        super().__init__(shape, seed=seed, ids=ids, levy_area=levy_area, dtype=dtype, device=device)
        self.grid = torch.as_tensor(grid, dtype=torch.float64, device=self.device)
        if self.grid.dim() not in (1, 2) or len(self.grid) < 1:
            raise ValueError(
                "a grid must be (times,) or (times, batch) with at least one time, "
                f"got {tuple(self.grid.shape)}"
            )
        if self.grid.dim() == 2 and self.grid.shape[1] != len(self.ids):
            raise ValueError(
                f"a grid for each sample must be (times, {len(self.ids)}), got {tuple(self.grid.shape)}"
            )
        steps = self.grid.diff(dim=0)
        self._sign = -1.0 if bool((steps < 0).any()) else 1.0
        if not bool((self._sign * steps >= 0).all()):
            raise ValueError("a grid must be increasing or decreasing")

    def increments(self, times: Tensor) -> Increments:
        """W and H over the consecutive intervals of `times`, points of the grid, (n,) or (n, batch): (n-1,
        *shape) each.
        """
        index = self._index(times.to(self.device, torch.float64))
        start, stop = index[:-1], index[1:]
        low, high = torch.minimum(start, stop), torch.maximum(start, stop)
        if bool((high - low <= 1).all()):
            w, a, length = self._cells(torch.where(high > low, low, -1))
        else:
            w, a, length = self._between(low, high)
        if bool((stop < start).any()):
            w = torch.where((stop < start).unsqueeze(-1), -w, w)
        return self._answer(w, a, length)

    def _answer(self, w: Tensor, a: Tensor, length: Tensor) -> Increments:
        shape = (len(w), *self.shape)
        w_out = w.reshape(shape).to(self.dtype)
        if self.levy_area is None:
            return Increments(w_out, None)
        safe = torch.where(length == 0, 1.0, length)
        return Increments(w_out, (a / safe).reshape(shape).to(self.dtype))

    def _index(self, times: Tensor) -> Tensor:
        """The grid index of each time, (n, batch) or (n, 1); the first one where a time is repeated."""
        grid = self.grid if self.grid.dim() == 2 else self.grid.unsqueeze(1)
        times = times if times.dim() == 2 else times.unsqueeze(1)
        if times.shape[1] != grid.shape[1]:
            columns = len(self.ids)
            grid, times = grid.expand(-1, columns), times.expand(-1, columns)
        ascending = (self._sign * grid).t().contiguous()
        wanted = (self._sign * times).t().contiguous()
        index = torch.searchsorted(ascending, wanted).clamp_max(ascending.shape[1] - 1)
        if not bool((ascending.gather(1, index) == wanted).all()):
            missing = float(times.t()[ascending.gather(1, index) != wanted][0])
            raise ValueError(
                f"time {missing:.17g} is not a point of this path's grid; "
                "ask a VirtualBrownianTree for times between"
            )
        return index.t()

    def _cells(self, cells: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(W, length·H, length) of the cells (n, batch or 1), -1 for none: float64 (n, batch, channels),
        length (n, ·, 1).
        """
        grid = self.grid if self.grid.dim() == 2 else self.grid.unsqueeze(1)
        lengths = grid.diff(dim=0, append=grid[-1:]).abs().expand(-1, cells.shape[1])
        length = torch.where(cells < 0, 0.0, lengths.gather(0, cells.clamp_min(0))).unsqueeze(-1)
        channel = torch.arange(self.channels, device=self.device) + CELL_DOMAIN
        per_block = max(1, _BLOCK // max(1, len(self.ids) * self.channels))
        pairs = [
            normal_pair(part.unsqueeze(-1), channel, self.ids.view(1, -1, 1), key_of(self.seed))
            for part in cells.clamp_min(0).split(per_block)
        ]
        w = torch.cat([first for first, _ in pairs]) * (length.sqrt() * self._sign)
        h = torch.cat([second for _, second in pairs]) * (length.sqrt() * math.sqrt(1.0 / 12.0))
        return w, h * length, length

    def _between(self, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(W, length·H, length) between grid indices low <= high (n, batch or 1) by adding up their cells."""
        shape = (len(low), len(self.ids), self.channels)
        w = torch.zeros(shape, dtype=torch.float64, device=self.device)
        area = torch.zeros_like(w)
        total = torch.zeros(*low.shape, 1, dtype=torch.float64, device=self.device)
        for cell in range(int(low.min()), int(high.max())):
            inside = ((low <= cell) & (cell < high)).unsqueeze(-1)
            index = torch.full((1, low.shape[1]), cell, device=self.device)
            w_cell, a_cell, length = self._cells(index)
            # The areas between path and chord, and the triangle between the two chords and the joined one. A
            # first cell is taken over unrounded: no sample's answer depends on how many cells the others ask
            # for.
            area = torch.where(inside, area + a_cell + 0.5 * (length * w - total * w_cell), area)
            w = torch.where(inside, w + w_cell, w)
            total = torch.where(inside, total + length, total)
        return w, area, total
