"""PinnedPath: a path whose whole increment W, area H, or both are given."""

from __future__ import annotations

from torch import Tensor

from ...brownian import Increments, VirtualBrownianTree


class PinnedPath:
    """The law of `path` given its increment `w` and space-time Lévy area `h` over all of [t0, t1].

    With r = (t - t0)/(t1 - t0), Gaussian conditioning is

        W'(t) = W(t) + r (w - W(t1)) + 6 r (1-r) (h - H),

    H being the area over [t0, t1]. W(t1) and H are independent: what is not given keeps its own law, and its
    term is left out. Gradients reach `w` and `h`.

    Args:
        path: float64, with Lévy area where `h` is given.
        w, h: of the path's shape, or None.
    """

    def __init__(self, path: VirtualBrownianTree, w: Tensor | None, h: Tensor | None) -> None:
        self._path = path
        self._given = (w, h)
        self._own = path.increment(path.t0, path.t1)

    def increment(self, ta: float, tb: float) -> Increments:
        """W and H over [ta, tb], or going backwards, with H where the path has it."""
        w, h = self._path.increment(ta, tb)
        t0, t1 = self._path.t0, self._path.t1
        part = (tb - ta) / (t1 - t0)
        given_w, given_h = self._given
        if given_w is not None:
            w = w + part * (given_w.to(w.dtype) - self._own.W)
        if given_h is not None:
            assert h is not None and self._own.H is not None
            extra = given_h.to(h.dtype) - self._own.H
            # Of the parabola 6 r (1-r): its increment 6 (rb - ra) (1 - ra - rb), written so that neither
            # direction nor a distant t0 costs accuracy, and its mean above the chord.
            tilt = ((t1 - ta) - (ta - t0)) + ((t1 - tb) - (tb - t0))
            w = w + (3.0 * part * tilt / (t1 - t0)) * extra
            h = h + part**2 * extra
        return Increments(w, h)
