"""RefinedPath: a path fixed on multiples of a spacing, with whatever other points a solver happens to need
put in between.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from .aligned import AlignedPath
from .drawing import draw_normals
from .philox import CELL_DOMAIN, KIND_W, derive_seed

_CELL_BITS, _PART_BITS = 20, 12  # a node's 32 bits: the coarse cell, and the part of it
_REFINEMENT = 1  # label of the stream that fills the cells
_SNAP = 1e-9  # of the spacing: a point this near to a multiple is that multiple


class RefinedPath(AlignedPath):
    """The path whose increments over the cells [k s, (k+1) s], k >= 0, depend on (seed, id, channel, k)
    alone.

    Points of `grid` inside a cell get their values from a Brownian bridge over it, drawn in their order:
    other points there make another bridge, while W at the multiples of s stays. One or two draws a step, no
    horizon.

    Args:
        shape, seed, ids, dtype, device: as in `VirtualBrownianTree`.
        grid: (times,) or (times, batch), not negative, increasing or decreasing; repeated times allowed.
        spacing: s > 0.

    Raises:
        ValueError: negative times, more than 2^20 cells, or more than 2^12 points in one of them.
    """

    def __init__(
        self,
        shape: Sequence[int],
        grid: Tensor | Sequence[float],
        *,
        spacing: float,
        seed: int,
        ids: Tensor | None = None,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> None:
        super().__init__(shape, grid, seed=seed, ids=ids, levy_area=None, dtype=dtype, device=device)
        self.spacing = float(spacing)
        if not self.spacing > 0:
            raise ValueError(f"the spacing must be positive, got {spacing}")
        if bool((self.grid < 0).any()):
            raise ValueError("a refined path begins at time 0; its grid has a negative time")
        self._w = self._fill()

    def _fill(self) -> Tensor:
        """W at the points of the grid, float64 (points, batch, channels)."""
        samples = len(self.ids)
        grid = self.grid if self.grid.dim() == 2 else self.grid.unsqueeze(1).expand(-1, samples)
        grid = grid.flip(0) if self._sign < 0 else grid
        units = grid / self.spacing
        units = torch.where((units - units.round()).abs() < _SNAP, units.round(), units)
        cells = max(1, int(units.max().ceil()))
        if cells >= 1 << _CELL_BITS:
            raise ValueError(
                f"a refined path has at most 2^{_CELL_BITS} cells, {cells} are asked for; "
                "use a larger spacing"
            )
        multiples = torch.arange(cells + 1, dtype=torch.float64, device="cpu").unsqueeze(1)
        points, order = torch.cat([units, multiples.expand(-1, samples)]).sort(dim=0, stable=True)
        length = points.diff(dim=0)
        cell = (points[:-1] + 0.5 * length).floor().clamp_max(cells - 1).to(torch.int64)
        # Repeated times, a sample's padding among them, make no part: how many there are must not move the
        # next one's draw.
        counts = (length > 0).to(torch.int64)
        number = counts.cumsum(dim=0) - counts
        begins = torch.ones_like(cell, dtype=torch.bool)
        begins[1:] = cell[1:] != cell[:-1]
        part = number - torch.where(begins, number, 0).cummax(dim=0).values
        if int(part.max()) >= 1 << _PART_BITS:
            raise ValueError(
                f"a refined path has at most 2^{_PART_BITS} points in a cell; use a smaller spacing"
            )

        coarse = self._draw(multiples[:-1, 0].to(torch.int64), self.seed)
        free = self._draw(cell << _PART_BITS | part, derive_seed(self.seed, _REFINEMENT))
        length = length.to(self.device)
        cell = cell.to(self.device)
        free = free * length.sqrt().unsqueeze(-1)
        # A bridge from independent increments: take from each its share of what their sum is too much.
        index = cell.unsqueeze(-1).expand_as(free)
        excess = torch.zeros_like(coarse).scatter_add_(0, index, free) - coarse
        fine = free - length.unsqueeze(-1) * excess.gather(0, index)

        # The rank of the grid's points among all points tells where each is on the way.
        rank = order.argsort(dim=0)[: len(units)].to(self.device)
        running = torch.cat([torch.zeros_like(fine[:1]), fine.cumsum(0)])
        w = running.gather(0, rank.unsqueeze(-1).expand(-1, -1, self.channels)) * self.spacing**0.5
        return w.flip(0) if self._sign < 0 else w

    def _draw(self, nodes: Tensor, seed: int) -> Tensor:
        kind = CELL_DOMAIN | KIND_W
        return draw_normals(nodes.to(self.device), self.ids, self.channels, kind, seed, torch.float64)

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_w": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._w = self._fill()

    def _kernel(self) -> None:
        """None: W at all points of the grid is there already."""

    def _compute(self, times: Tensor) -> tuple[Tensor, Tensor]:
        index = self._index(times).expand(-1, len(self.ids)).to(self.device).unsqueeze(-1)
        w = self._w.gather(0, index.expand(-1, -1, self.channels)).diff(dim=0)
        return w, w.new_empty(0)

    def _operator(self, times: Tensor) -> tuple[Tensor, Tensor]:
        raise NotImplementedError("a RefinedPath has no operator for torch.compile; take an AlignedPath")
