"""VirtualBrownianTree: a Brownian path of which nothing is stored but its parameters.

The virtual tree of Li, Wong, Chen & Duvenaud 2020 with the exact conditional law of (W, H) of Jelinčič,
Foster & Kidger 2024.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from .aligned import AlignedPath
from .descent import TIME_BITS, tree_increments
from .path import Path
from .philox import signed_seed, unsigned_seed


class VirtualBrownianTree(Path):
    """The path W on [t0, t1], W(t0) = 0, a pure function of (stream version, t0, t1, seed, id, channel,
    time).

    Args:
        t0, t1: the ends, t0 < t1; queries outside by rounding are clamped, farther outside are a ValueError.
        shape: (batch, ...) of W; () is one number.
        seed: any integer, taken modulo 2^64.
        ids: int64 (batch,), the names of the samples, default 0..batch-1: equal (seed, id) is equal path,
            whatever the batch.
        levy_area: None, or "space-time" to be given H as well. W is the same path either way.
        dtype, device: of the answers; float32 and float64 answers are the same path up to float32 rounding.

    A query costs O(log) of its distance from the last one: one draw a step on dyadic grids, about twenty on
    others, for which `aligned` is there. The law is exact between any times that do not share a cell of (t1 -
    t0) 2^-30; inside a cell each single time is exact given the cell, and two times of one cell are fully
    correlated given it. docs/brownian.md is the specification.
    """

    def __init__(
        self,
        t0: float | Tensor,
        t1: float | Tensor,
        shape: Sequence[int],
        *,
        seed: int,
        ids: Tensor | None = None,
        levy_area: str | None = None,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> None:
        super().__init__(shape, seed=seed, ids=ids, levy_area=levy_area, dtype=dtype, device=device)
        self.t0, self.t1 = float(t0), float(t1)
        if not (self.t0 < self.t1 and math.isfinite(self.t1 - self.t0)):
            raise ValueError(
                f"a path needs t0 < t1 a finite time apart, got [{self.t0:g}, {self.t1:g}]; "
                "queries may go backwards"
            )
        # Clamped without a word: a few float32 roundings of the ends, but never a part of the span that
        # counts.
        rounding = 4 * torch.finfo(torch.float32).eps * max(abs(self.t0), abs(self.t1))
        self._slack = min(rounding, 1e-3 * (self.t1 - self.t0))

    def aligned(self, grid: Tensor | Sequence[float]) -> AlignedPath:
        """The path of the same seed and samples whose nodes are the points of `grid`: (times,) or (times,
        batch).

        One draw an interval instead of a descent. It is another path than this one, and the grid is part of
        its identity.
        """
        return AlignedPath(
            self.shape,
            grid,
            seed=self.seed,
            ids=self.ids,
            levy_area=self.levy_area,
            dtype=self.dtype,
            device=self.device,
        )

    def _ends(self) -> str:
        return f"{self.t0!r}, {self.t1!r}"

    def _make_kernel(self, module: Any) -> Any:
        seed, wide = unsigned_seed(self.seed), self._inner == torch.float64
        ids = self.ids.data_ptr()
        return module.tree(seed, ids, len(self.ids), self.channels, self.t0, self.t1, self._slack, wide)

    def _operator(self, times: Tensor) -> tuple[Tensor, Tensor]:
        seed, area = signed_seed(self.seed), self.levy_area is not None
        return torch.ops.latentsde.tree_increments(
            times, self.ids, seed, self.t0, self.t1, self.channels, area, self.dtype
        )

    def _compute(self, times: Tensor) -> tuple[Tensor, Tensor]:
        ticks = self._ticks(times)
        low, high = torch.minimum(ticks[:-1], ticks[1:]), torch.maximum(ticks[:-1], ticks[1:])
        backwards = ticks[1:] < ticks[:-1]
        low, high, backwards = (x.to(self.device, non_blocking=True) for x in (low, high, backwards))
        span = self.t1 - self.t0
        if (kernel := self._gpu_kernels()) is not None:
            area = self.levy_area is not None
            return kernel.tree_increments(
                low, high, backwards, self.ids, self.seed, span, self.channels, area, self._inner
            )
        w, h = tree_increments(low, high, self.ids, seed=self.seed, channels=self.channels)
        sign = torch.where(backwards, -1.0, 1.0).to(w.dtype).view(*low.shape, *(1,) * (3 - low.dim()))
        return w * sign * math.sqrt(span), h * math.sqrt(span)

    def _ticks(self, times: Tensor) -> Tensor:
        """Times in units of 2^-48 of the span, int64; ValueError for times outside by more than rounding."""
        outside = ~((times >= self.t0 - self._slack) & (times <= self.t1 + self._slack))
        if bool(outside.any()):
            first = float(times[outside][0])
            raise ValueError(f"time {first!r} is outside the path's interval [{self.t0!r}, {self.t1!r}]")
        unit = ((times - self.t0) / (self.t1 - self.t0)).clamp(0.0, 1.0)
        return (unit * 2.0**TIME_BITS).round().to(torch.int64)
