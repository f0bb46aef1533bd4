"""BrownianInterval: increments and Lévy areas of a Brownian motion on [t0, t1]."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from ...brownian import Increments, VirtualBrownianTree
from . import entropy as seeds
from .arguments import number, tensor_info
from .base import Answer, BaseBrownian
from .levy_area import levy_area
from .pinned import PinnedPath
from .settings import LEVY_AREA_APPROXIMATIONS
from .types import Scalar
from .unbounded import UnboundedPath

_NONE = LEVY_AREA_APPROXIMATIONS.none
_AREAS = (LEVY_AREA_APPROXIMATIONS.davie, LEVY_AREA_APPROXIMATIONS.foster)
_HALVES = (torch.float16, torch.bfloat16)


class _Source(Protocol):
    def increment(self, ta: float, tb: float, /) -> Increments: ...


class BrownianInterval(BaseBrownian):
    """Brownian motion on [t0, t1], a pure function of (entropy, t0, t1, sample, channel, time).

    Without W and H it is the path of `latentsde.VirtualBrownianTree` with the entropy as its seed.

    Args:
        t0, t1: the ends, t0 <= t1; an infinite t1 makes a path without end.
        size: of W: () is one motion, (batch,) a batch of them, (batch, ..., m) a batch of m-dimensional ones.
            The first dimension names the samples 0..batch-1: equal number, equal path, in any batch.
        dtype, device: of the answers; by default those of W and H, else torch's default and the CPU.
        entropy: an integer or a sequence of them; None draws a fresh one. Read it back as `.entropy`.
        dt, tol, pool_size, cache_size, halfway_tree: no effect; the path is exact and keeps no cache.
        levy_area_approximation: "none"; "space-time" for U; "davie" or "foster" for U and A.
        W, H: the increment and the space-time Lévy area over all of [t0, t1], of shape `size`: the path is
            then conditioned on them.

    Raises:
        ValueError: ends, sizes, dtypes or names that do not fit.
    """

    def __init__(
        self,
        t0: Scalar = 0.0,
        t1: Scalar = 1.0,
        size: Sequence[int] | None = None,
        dtype: torch.dtype | None = None,
        device: str | torch.device | None = None,
        entropy: seeds.Entropy | None = None,
        dt: Scalar | None = None,
        tol: Scalar = 0.0,
        pool_size: int = 8,
        cache_size: int | None = 45,
        halfway_tree: bool = False,
        levy_area_approximation: str = _NONE,
        W: Tensor | None = None,
        H: Tensor | None = None,
    ) -> None:
        self._t0, self._t1 = number("t0", t0), number("t1", t1)
        if not (self._t0 <= self._t1 and math.isfinite(self._t0)):
            raise ValueError(f"an interval needs a finite t0 <= t1, got [{self._t0:g}, {self._t1:g}]")
        if levy_area_approximation not in LEVY_AREA_APPROXIMATIONS:
            raise ValueError(
                f"levy_area_approximation must be one of {LEVY_AREA_APPROXIMATIONS}, "
                f"got {levy_area_approximation!r}"
            )
        self._shape, self._dtype, self._device = tensor_info(size, dtype, device, W, H)
        self._entropy = seeds.fresh() if entropy is None else seeds.checked(entropy)
        self._seed = seeds.seed_of(self._entropy)
        self._levy_area_approximation = levy_area_approximation
        self._has_h = levy_area_approximation != _NONE
        self._has_a = levy_area_approximation in _AREAS
        self._dt = None if dt is None else number("dt", dt)
        self._tol, self._pool_size = tol, pool_size
        self._cache_size, self._halfway_tree = cache_size, halfway_tree
        self._source = self._make_source(W, H)

    def _make_source(self, w: Tensor | None, h: Tensor | None) -> _Source | None:
        if self._t0 == self._t1:
            return None
        pinned = not (w is None and h is None)
        # The given end is met to the answers' own rounding.
        exact = torch.float64 if pinned else torch.float32 if self._dtype in _HALVES else self._dtype
        area = "space-time" if self._has_h or h is not None else None
        if math.isinf(self._t1):
            if pinned:
                raise ValueError("W and H are those of a whole interval; give it a finite t1")
            return UnboundedPath(
                self._t0, self._shape, seed=self._seed, levy_area=area, dtype=exact, device=self._device
            )
        tree = VirtualBrownianTree(
            self._t0, self._t1, self._shape, seed=self._seed, levy_area=area, dtype=exact, device=self._device
        )
        return PinnedPath(tree, w, h) if pinned else tree

    def __call__(
        self, ta: Scalar, tb: Scalar | None = None, return_U: bool = False, return_A: bool = False
    ) -> Answer:
        """W over [ta, tb], or over [t0, ta] without tb; (W, U), (W, A) or (W, U, A) on request.

        U = ∫ (W(s) - W(ta)) ds, of the shape of W, is None for levy_area_approximation="none"; A (*size, m)
        is None unless it is "davie" or "foster". Backwards, ta > tb, W and A change sign and U is what its
        integral says. Times outside [t0, t1] are the nearer end, with a warning if by more than rounding.
        """
        if tb is None:
            ta, tb = self._t0, ta
        try:
            # A string would be read as a number.
            a, b = (number("ta", ta), number("tb", tb)) if isinstance(ta, str) else (float(ta), float(tb))
        except (TypeError, ValueError, RuntimeError):
            a, b = number("ta", ta), number("tb", tb)
        t0, t1 = self._t0, self._t1
        if not (t0 <= a <= t1 and t0 <= b <= t1):
            a, b = self._inside(a), self._inside(b)
        source = self._source
        if a == b or source is None:
            w = torch.zeros(self._shape, dtype=self._dtype, device=self._device)
            h: Tensor | None = w if self._has_h else None
        else:
            w, h = source.increment(a, b)
        u = area = None
        if h is not None:
            if return_U and self._has_h:
                u = ((b - a) * (0.5 * w + h)).to(self._dtype)
            if return_A and self._has_a:
                area = self._area(w, h, a, b).to(self._dtype)
        if w.dtype is not self._dtype:
            w = w.to(self._dtype)
        if return_U:
            return (w, u, area) if return_A else (w, u)
        return (w, area) if return_A else w

    def _area(self, w: Tensor, h: Tensor, a: float, b: float) -> Tensor:
        sign, low, high = (1.0, a, b) if a <= b else (-1.0, b, a)
        seed = seeds.area_seed(self._seed, low, high)
        return sign * levy_area(sign * w, h, high - low, self._levy_area_approximation, seed)

    def _inside(self, time: float) -> float:
        """The time, or the nearer end: with a warning where it is outside by more than a few float32
        roundings.
        """
        t0, t1 = self._t0, self._t1
        if math.isnan(time):
            raise ValueError(f"a time must be a number in [{t0:g}, {t1:g}], got nan")
        if t0 <= time <= t1:
            return time
        end = t0 if time < t0 else t1
        if abs(time - end) > self._slack():
            warnings.warn(
                f"time {time!r} is outside the Brownian motion's interval [{t0!r}, {t1!r}]; {end!r} is taken",
                stacklevel=3,
            )
        return end

    def _slack(self) -> float:
        t0, t1 = self._t0, self._t1
        scale = max(abs(t0), abs(t1)) if math.isfinite(t1) else abs(t0)
        return min(4 * torch.finfo(torch.float32).eps * scale, 1e-3 * (t1 - t0))

    def tree(self, times: Tensor) -> VirtualBrownianTree | None:
        """The core's path with the same answers, where there is one and it reaches over all of `times`."""
        if not isinstance(self._source, VirtualBrownianTree):
            return None
        slack = self._slack()
        inside = (times >= self._t0 - slack) & (times <= self._t1 + slack)
        return self._source if bool(inside.all()) else None

    @property
    def shape(self) -> tuple[int, ...]:
        return self._shape

    @property
    def dtype(self) -> torch.dtype:
        return self._dtype

    @property
    def device(self) -> torch.device:
        return self._device

    @property
    def levy_area_approximation(self) -> str:
        return self._levy_area_approximation

    @property
    def entropy(self) -> seeds.Entropy:
        return self._entropy

    @property
    def dt(self) -> float | None:
        return self._dt

    @property
    def tol(self) -> Scalar:
        return self._tol

    @property
    def pool_size(self) -> int:
        return self._pool_size

    @property
    def cache_size(self) -> int | None:
        return self._cache_size

    @property
    def halfway_tree(self) -> bool:
        return self._halfway_tree

    def display_binary_tree(self) -> None:
        """Print the intervals that are stored: the whole one, since the tree is virtual."""
        print(f"({self._t0}, {self._t1})")

    def __repr__(self) -> str:
        dt = None if self._dt is None else f"{self._dt:.3f}"
        return (
            f"{type(self).__name__}(t0={self._t0:.3f}, t1={self._t1:.3f}, size={self._shape}, "
            f"dtype={self._dtype}, device={self._device!r}, entropy={self._entropy}, dt={dt}, "
            f"tol={self._tol}, pool_size={self._pool_size}, cache_size={self._cache_size}, "
            f"levy_area_approximation={self._levy_area_approximation!r})"
        )


def brownian_interval_like(
    y: Tensor,
    t0: Scalar = 0.0,
    t1: Scalar = 1.0,
    size: Sequence[int] | None = None,
    dtype: torch.dtype | None = None,
    device: str | torch.device | None = None,
    **kwargs: Any,
) -> BrownianInterval:
    """A `BrownianInterval` of the shape, dtype and device of `y`, where they are not given."""
    return BrownianInterval(
        t0=t0,
        t1=t1,
        size=y.shape if size is None else size,
        dtype=y.dtype if dtype is None else dtype,
        device=y.device if device is None else device,
        **kwargs,
    )
