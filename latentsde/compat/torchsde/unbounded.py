"""UnboundedPath: a path from t0 on that needs no end."""

from __future__ import annotations

import math

import torch

from ...brownian import Increments, VirtualBrownianTree, derive_seed

_WINDOW = 1  # label of the streams of the windows after the first


class UnboundedPath:
    """A virtual tree for each of the windows [0, 1], [1, 2], [2, 4], [4, 8] ... after t0, joined.

    A pure function of (seed, id, channel, time - t0). The first window is the tree of the seed itself. Within
    a window the law is as exact as the tree's: between times farther apart than 2^-30 of its length.
    """

    def __init__(
        self,
        t0: float,
        shape: tuple[int, ...],
        *,
        seed: int,
        levy_area: str | None,
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        self._t0, self._shape, self._seed = t0, shape, seed
        self._levy_area, self._dtype, self._device = levy_area, dtype, device
        self._trees: dict[int, VirtualBrownianTree] = {}

    def increment(self, ta: float, tb: float) -> Increments:
        """W and H over [ta, tb], or going backwards, with H where it was asked for."""
        if not (math.isfinite(ta) and math.isfinite(tb)):
            raise ValueError(f"a path without end has values at finite times only, got [{ta:g}, {tb:g}]")
        start, stop = sorted((ta - self._t0, tb - self._t0))
        first, last = _window(start), _window(stop)
        edges = [start, *(2.0**k for k in range(first, last)), stop]
        w, h = self._tree(first).increment(start, edges[1])
        for window in range(first + 1, last + 1):
            begin, end = edges[window - first], edges[window - first + 1]
            part = self._tree(window).increment(begin, end)
            w, h = _joined(Increments(w, h), begin - start, part, end - begin)
        return Increments(w if ta <= tb else -w, h)

    def _tree(self, window: int) -> VirtualBrownianTree:
        if window not in self._trees:
            self._trees[window] = VirtualBrownianTree(
                2.0 ** (window - 1) if window else 0.0,
                2.0**window,
                self._shape,
                seed=derive_seed(self._seed, _WINDOW, window) if window else self._seed,
                levy_area=self._levy_area,
                dtype=self._dtype,
                device=self._device,
            )
        return self._trees[window]


def _window(offset: float) -> int:
    """0 on [0, 1), k on [2^(k-1), 2^k)."""
    return max(0, math.frexp(offset)[1])


def _joined(left: Increments, left_length: float, right: Increments, right_length: float) -> Increments:
    """Of two intervals that follow each other, the union's."""
    w = left.W + right.W
    if left.H is None or right.H is None:
        return Increments(w, None)
    share = left_length / (left_length + right_length)
    return Increments(w, share * (left.H - 0.5 * right.W) + (1.0 - share) * (right.H + 0.5 * left.W))
