"""Queries: any Brownian motion that is called `bm(ta, tb)`, as a path that `latentsde.solve` takes."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from ...brownian import Increments


class Queries:
    """A Brownian motion asked for one interval after the other, with ta <= tb.

    Args:
        bm: torchsde's, ours, or anything that answers as they do.
        space_time: ask for U, from which H = U / (tb - ta) - W / 2 comes. What no method reads is not asked
            for: it costs draws.
    """

    def __init__(self, bm: Any, space_time: bool) -> None:
        self.shape = tuple(bm.shape)
        self.levy_area = "space-time" if space_time else None
        self._bm = bm

    def increments(self, times: Tensor) -> Increments:
        """W and H over the intervals of `times` (n,), in any direction: (n-1, *shape)."""
        if self.levy_area is None:
            return Increments(torch.stack([sign * self._bm(a, b) for sign, a, b in _forwards(times)]), None)
        w, h = [], []
        for sign, a, b in _forwards(times):
            increment, u = self._bm(a, b, return_U=True)
            length = float(b) - float(a)
            w.append(sign * increment)
            h.append(u / length - 0.5 * increment if length else torch.zeros_like(increment))
        return Increments(torch.stack(w), torch.stack(h))

    def areas(self, times: Tensor, approximation: str) -> Tensor:
        """A over the same intervals, (n-1, *shape, m), by the motion's own approximation."""
        return torch.stack([sign * self._bm(a, b, return_A=True)[1] for sign, a, b in _forwards(times)])


def _forwards(times: Tensor) -> Iterator[tuple[float, Tensor, Tensor]]:
    """The sign and the two ends, the earlier one first, of every interval."""
    if times.dim() != 1:
        raise ValueError("this Brownian motion has one time for all samples at once; ts must be (times,)")
    # Tensors, not numbers: torchsde's solvers call it so, and somebody's own motion may count on it.
    for a, b in pairwise(times.unbind(0)):
        yield (1.0, a, b) if a <= b else (-1.0, b, a)
