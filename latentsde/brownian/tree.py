"""VirtualBrownianTree: a Brownian path of which nothing is stored but its parameters.

The virtual tree of Li, Wong, Chen & Duvenaud 2020 with the exact conditional law of (W, H) of Jelinčič,
Foster & Kidger 2024.
This is the plain PyTorch reference: float64 inside, any device.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from .aligned import AlignedPath
from .bridge import bridge, midpoint
from .increments import Increments
from .path import Path
from .philox import key_of, normal_pair

# Times are read on a grid of 2^48 points of [t0, t1] (a few float64 roundings wide), so that a time that lies
# on a coarse node up to rounding stops the descent there.
_TIME_BITS = 48
# Nodes are split down to this level; below 2^-30 of the span two points of one leaf share the leaf's normals.
_DEPTH = 30
# Counters drawn at once: bounds the memory of a query whatever its size.
_BLOCK = 2**19


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

    The law is exact between any times that do not share a cell of (t1 - t0) 2^-30; inside a cell each single
    time is exact given the cell, and two times of one cell are fully correlated given it.
    H is a difference of float64 integrals: its rounding error is 3e-7 of its deviation on a millionth of the
    span, 2 % on 1e-9 of it, and all of it below 1e-10.
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
        if not (math.isfinite(self.t0) and math.isfinite(self.t1) and self.t0 < self.t1):
            raise ValueError(f"a path needs finite t0 < t1, got [{self.t0:g}, {self.t1:g}]")

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

    def increments(self, times: Tensor) -> Increments:
        """W and H over the consecutive intervals of `times`, (n,) or (n, batch), in either direction: (n-1,
        *shape) each.
        """
        times = times.to(self.device, torch.float64)
        unit = self._unit_times(times)
        span = self.t1 - self.t0
        w_at, a_at = self._values(unit)  # (n, batch, channels)
        length = unit.diff(dim=0)
        length = length.unsqueeze(-1) if length.dim() == 2 else length.view(-1, 1, 1)
        w = w_at.diff(dim=0)
        out_shape = (len(times) - 1, *self.shape)
        w_out = (w * math.sqrt(span)).reshape(out_shape).to(self.dtype)
        if self.levy_area is None:
            return Increments(w_out, None)
        # H = ∫W/(b-a) - (W(a) + W(b))/2, the same in both directions. The differences of float64 integrals
        # leave an error of 3e-7 of H's deviation at 1e-6 of the span.
        safe = torch.where(length == 0, 1.0, length)
        h = a_at.diff(dim=0) / safe - 0.5 * (w_at[:-1] + w_at[1:])
        h = torch.where(length == 0, 0.0, h)
        return Increments(w_out, (h * math.sqrt(span)).reshape(out_shape).to(self.dtype))

    def _unit_times(self, times: Tensor) -> Tensor:
        """Times as fractions of [t0, t1] on the grid of 2^48; ValueError for times outside by more than
        rounding.
        """
        span = self.t1 - self.t0
        # A few float32 roundings of the ends, but never a part of the span that counts.
        slack = min(4 * torch.finfo(torch.float32).eps * max(abs(self.t0), abs(self.t1)), 1e-3 * span)
        low, high = float(times.min()), float(times.max())
        if not (low >= self.t0 - slack and high <= self.t1 + slack):
            outside = high if low >= self.t0 - slack else low
            raise ValueError(f"time {outside!r} is outside the path's interval [{self.t0!r}, {self.t1!r}]")
        unit = ((times - self.t0) / span).clamp(0.0, 1.0)
        return (unit * 2.0**_TIME_BITS).round() * 2.0**-_TIME_BITS

    def _values(self, unit: Tensor) -> tuple[Tensor, Tensor]:
        """W and A = ∫W from the start at fractions (n,) or (n, batch) of a unit span: float64 (n, batch,
        channels) each.
        """
        samples, channels = len(self.ids), self.channels
        fixed = (unit * 2.0**_TIME_BITS).to(torch.int64)
        channel = torch.arange(channels, device=self.device)
        if fixed.dim() == 1:
            # One tree shape for all samples: a block takes many times and few elements, so that times share
            # their ancestors.
            names = self.ids.repeat_interleave(channels).unsqueeze(0)
            channel = channel.repeat(samples).unsqueeze(0)
            w, a = self._in_blocks(fixed, torch.zeros_like(fixed), names, channel)
            return w.view(len(fixed), samples, channels), a.view(len(fixed), samples, channels)
        # Sample by sample, for the same reason.
        row = torch.arange(samples, device=self.device).unsqueeze(1).expand(samples, len(fixed)).reshape(-1)
        names = self.ids.unsqueeze(1).expand(samples, channels)
        w, a = self._in_blocks(fixed.t().reshape(-1), row, names, channel.expand(samples, channels))
        return tuple(x.view(samples, len(fixed), channels).transpose(0, 1) for x in (w, a))  # type: ignore[return-value]

    def _in_blocks(self, fixed: Tensor, row: Tensor, names: Tensor, channel: Tensor) -> tuple[Tensor, Tensor]:
        """Values (queries, elements) at fixed-point times (queries,), each for its row (queries,) of names
        and channels.
        """
        elements = names.shape[1]
        queries = max(1, min(len(fixed), _BLOCK // (_DEPTH + 2)))
        width = max(1, min(elements, _BLOCK // (queries * (_DEPTH + 2))))
        rows = []
        for f, r in zip(fixed.split(queries), row.split(queries), strict=True):
            parts = [
                self._descend(f, r, n, c)
                for n, c in zip(names.split(width, 1), channel.split(width, 1), strict=True)
            ]
            rows.append(tuple(torch.cat(values, 1) for values in zip(*parts, strict=True)))
        return tuple(torch.cat(values) for values in zip(*rows, strict=True))  # type: ignore[return-value]

    def _descend(self, fixed: Tensor, row: Tensor, names: Tensor, channel: Tensor) -> tuple[Tensor, Tensor]:
        # The nodes each query passes, by heap number: 0 is the whole span, 2^level + k splits the k-th
        # interval of a level, and the last column is the leaf's bridge. A query that is a multiple of
        # 2^(48-level) is a node and needs the levels above only.
        levels = torch.arange(_DEPTH + 1, device=self.device)
        shifted = fixed.unsqueeze(1) >> (_TIME_BITS - levels)
        needed = (shifted << (_TIME_BITS - levels)) != fixed.unsqueeze(1)
        needed = needed[:, : int(needed.any(0).sum())]  # a query that needs a level needs all above it
        depth = needed.shape[1]
        heap = torch.where(needed, (1 << levels[:depth]) + shifted[:, :depth], 0)
        heap = torch.cat([heap.new_zeros(len(heap), 1), heap], dim=1)
        nodes, where = torch.unique((row.unsqueeze(1) << 32) | heap, return_inverse=True)
        rows = nodes >> 32
        first, second = normal_pair(
            (nodes & 0xFFFFFFFF).unsqueeze(1), channel[rows], names[rows], key_of(self.seed)
        )

        w, h = first[where[:, 0]], second[where[:, 0]] * math.sqrt(1.0 / 12.0)
        # (w, h) is the interval the query is in; (w_before, a_before) is the path at that interval's start.
        at_end = (fixed == 1 << _TIME_BITS).unsqueeze(1)
        w_before = torch.where(at_end, w, 0.0)
        a_before = torch.where(at_end, h + 0.5 * w, 0.0)
        for level in range(min(depth, _DEPTH)):
            open_ = needed[:, level].nonzero().squeeze(1)
            scale, half = 2.0 ** (-level / 2), 2.0 ** -(level + 1)
            draw = where[open_, level + 1]
            w_left, h_left, w_right, h_right = midpoint(
                w[open_], h[open_], scale * first[draw], scale * second[draw]
            )
            right = ((fixed[open_] >> (_TIME_BITS - level - 1)) & 1).bool().unsqueeze(1)
            w_start = w_before[open_]
            a_before[open_] += torch.where(right, half * (w_start + h_left + 0.5 * w_left), 0.0)
            w_before[open_] = w_start + torch.where(right, w_left, 0.0)
            w[open_] = torch.where(right, w_right, w_left)
            h[open_] = torch.where(right, h_right, h_left)
        if depth > _DEPTH:
            inside = needed[:, _DEPTH].nonzero().squeeze(1)
            size = 2.0**-_DEPTH
            remainder = fixed[inside] & ((1 << (_TIME_BITS - _DEPTH)) - 1)
            r = (remainder.to(torch.float64) * 2.0 ** (_DEPTH - _TIME_BITS)).unsqueeze(1)
            draw = where[inside, _DEPTH + 1]
            scale = math.sqrt(size)
            w_r, h_r = bridge(r, w[inside] / scale, h[inside] / scale, first[draw], second[draw])
            w_r, h_r = w_r * scale, h_r * scale
            a_before[inside] += r * size * (w_before[inside] + h_r + 0.5 * w_r)
            w_before[inside] += w_r
        return w_before, a_before
