"""Queries: any Brownian motion that is called `bm(ta, tb)`, as a path that `latentsde.solve` takes."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor


class Answers(NamedTuple):
    """Over consecutive intervals, the increment W and what else was asked for: the space-time Lévy area H and
    the Lévy area A.
    """

    W: Tensor
    H: Tensor | None
    A: Tensor | None


class Queries:
    """A Brownian motion asked for one interval after the other, with ta <= tb.

    Args:
        bm: torchsde's, ours, or anything that answers as they do.
        space_time: ask for U, from which H = U / (tb - ta) - W / 2 comes. What no method reads is not asked
            for: it costs draws.
        area: ask for U and for A.
    """

    def __init__(self, bm: Any, space_time: bool, area: bool) -> None:
        self.shape = tuple(bm.shape)
        self.levy_area = "space-time" if space_time or area else None
        self._bm, self._area = bm, area

    def increments(self, times: Tensor) -> Answers:
        """The answers over the intervals of `times` (n,), in any direction: (n-1, *shape), A one more m."""
        if times.dim() != 1:
            raise ValueError("this Brownian motion has one time for all samples at once; ts must be (times,)")
        # Tensors, not numbers: torchsde's solvers call it so, and somebody's own motion may count on it.
        points = times.unbind(0)
        w, h, area = zip(*(self._answer(a, b) for a, b in pairwise(points)), strict=True)
        return Answers(
            torch.stack(w),
            None if self.levy_area is None else torch.stack(h),
            torch.stack(area) if self._area else None,
        )

    def _answer(self, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor | None, Tensor | None]:
        sign, low, high = (1.0, a, b) if a <= b else (-1.0, b, a)
        if self.levy_area is None:
            return sign * self._bm(low, high), None, None
        if self._area:
            w, u, area = self._bm(low, high, return_U=True, return_A=True)
            area = sign * area
        else:
            (w, u), area = self._bm(low, high, return_U=True), None
        length = float(high) - float(low)
        h = u / length - 0.5 * w if length else torch.zeros_like(w)
        return sign * w, h, area
