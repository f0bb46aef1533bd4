"""AlignedPath: a path whose nodes are the points of a step grid, so that one draw makes one step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from .cells import cell_increments
from .path import Path
from .philox import signed_seed, unsigned_seed


class AlignedPath(Path):
    """The path that draws (W, H) of cell k of `grid` from the counter (cell k, channel, id): independent
    cells, exact law.

    Args:
        shape: (batch, ...) of W.
        grid: (times,) for all samples or (times, batch), one each; increasing or decreasing, repeated times
            allowed (a sample's padding). The grid is part of the path's identity; a sample's path does not
            depend on the other samples' grids.
        seed, ids, levy_area, dtype, device: as in `VirtualBrownianTree`.

    Times that are not points of the grid, up to a few float32 roundings, are a ValueError.
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
        # A copy: what becomes of the caller's tensor must not change the path.
        self.grid = torch.as_tensor(grid, dtype=torch.float64, device="cpu").detach().clone().contiguous()
        if self.grid.dim() not in (1, 2) or len(self.grid) < 1:
            raise ValueError(
                "a grid must be (times,) or (times, batch) with at least one time, "
                f"got {tuple(self.grid.shape)}"
            )
        if self.grid.dim() == 2 and self.grid.shape[1] != len(self.ids):
            raise ValueError(
                f"a grid for each sample must be (times, {len(self.ids)}), got {tuple(self.grid.shape)}"
            )
        if len(self.grid) >= 2**31:
            raise ValueError(f"a grid may have fewer than 2^31 times, got {len(self.grid)}")
        # Of infinite times the steps are infinite or not a number.
        steps = self.grid.diff(dim=0) if len(self.grid) > 1 else self.grid - self.grid
        low, high = (float(x) for x in steps.aminmax()) if steps.numel() else (0.0, 0.0)
        self._sign = -1.0 if low < 0 else 1.0
        if not (math.isfinite(high - low) and (low >= 0 or high <= 0)):
            raise ValueError("a grid must be increasing or decreasing, and its times finite")

    def _ends(self) -> str:
        return f"grid of {len(self.grid)} times"

    def _make_kernel(self, module: Any) -> Any:
        seed, wide = unsigned_seed(self.seed), self._inner == torch.float64
        ids, grid, per_sample = self.ids.data_ptr(), self.grid.data_ptr(), self.grid.dim() == 2
        descending = self._sign < 0
        points = len(self.grid)
        return module.cells(
            seed, ids, len(self.ids), self.channels, grid, points, per_sample, descending, wide
        )

    def _operator(self, times: Tensor) -> tuple[Tensor, Tensor]:
        seed, area = signed_seed(self.seed), self.levy_area is not None
        return torch.ops.latentsde.cell_increments(
            times, self.grid, self.ids, seed, self.channels, area, self.dtype
        )

    def _compute(self, times: Tensor) -> tuple[Tensor, Tensor]:
        first, cells, sign = (x.to(self.device, non_blocking=True) for x in self._runs(times))
        grid = self.grid.view(len(self.grid), -1).to(self.device, non_blocking=True)
        if (kernel := self._gpu_kernels()) is not None:
            area = self.levy_area is not None
            return kernel.cell_increments(
                first, cells, sign, grid, self.ids, self.seed, self.channels, area, self._inner
            )
        w, h = cell_increments(first, cells, grid, self.ids, seed=self.seed, channels=self.channels)
        return w * sign.unsqueeze(-1), h

    def _runs(self, times: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The first cell of each interval of `times`, how many cells it has, and -1 where it goes against the
        grid: int64 (n, 1) or (n, batch).
        """
        index = self._index(times)
        start, stop = index[:-1], index[1:]
        return torch.minimum(start, stop), (stop - start).abs(), torch.where(stop >= start, 1, -1)

    def _index(self, times: Tensor) -> Tensor:
        """The grid index of each time, (n, batch) or (n, 1), up to rounding; the first one where a time is
        repeated.
        """
        grid = self.grid if self.grid.dim() == 2 else self.grid.unsqueeze(1)
        times = times if times.dim() == 2 else times.unsqueeze(1)
        if times.shape[1] != grid.shape[1]:
            columns = len(self.ids)
            grid, times = grid.expand(-1, columns), times.expand(-1, columns)
        ascending = (self._sign * grid).t().contiguous()
        wanted = (self._sign * times).t().contiguous()
        last = ascending.shape[1] - 1
        above = torch.searchsorted(ascending, wanted).clamp_max(last)
        below = torch.searchsorted(ascending, ascending.gather(1, (above - 1).clamp_min(0)))
        high, low = ascending.gather(1, above), ascending.gather(1, below)
        index = torch.where((wanted - low).abs() < (high - wanted).abs(), below, above)
        # Up to rounding: a few float32 ones of the ends, but never a part of a cell that counts.
        rounding = 4 * torch.finfo(torch.float32).eps * ascending[:, [0, -1]].abs().amax(1, keepdim=True)
        cell = torch.where(high > low, high - low, torch.inf)
        off = (ascending.gather(1, index) - wanted).abs()
        found = (off == 0) | (off <= torch.minimum(rounding, 1e-3 * cell))
        if not bool(found.all()):
            missing = float(times.t()[~found][0])
            raise ValueError(
                f"time {missing!r} is not a point of this path's grid; "
                "ask a VirtualBrownianTree for times between"
            )
        return index.t()
