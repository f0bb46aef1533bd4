"""BrownianTree and BrownianPath: Brownian motion with a value w0 at its start, asked by times or intervals.

Both answer `bm(t)` with the value w0 + W(t) and `bm(ta, tb)` with the increment, and differ in their ends: a
tree lives on [t0, t1] and may have its last value given, a path goes on for ever.
"""

from __future__ import annotations

import math

from torch import Tensor

from .base import Answer, DerivedBrownian
from .entropy import Entropy
from .interval import BrownianInterval
from .types import Scalar


class _Started(DerivedBrownian):
    _source: BrownianInterval

    def __init__(self, interval: BrownianInterval, w0: Tensor) -> None:
        super().__init__(interval)
        self._w0 = w0

    # The first argument is called t by torchsde as well.
    def __call__(
        self, t: Scalar, tb: Scalar | None = None, return_U: bool = False, return_A: bool = False
    ) -> Answer:
        """The value w0 + W(t) where only t is given; else as `BrownianInterval` answers."""
        answer = self._source(t, tb, return_U=return_U, return_A=return_A)
        return answer if isinstance(answer, tuple) or tb is not None else answer + self._w0

    def __repr__(self) -> str:
        return f"{type(self).__name__}(interval={self._source})"

    @property
    def entropy(self) -> Entropy:
        """The entropy the path came from; torchsde keeps it to itself."""
        return self._source.entropy


class BrownianTree(_Started):
    """Brownian motion on [t0, t1] from w0, to w1 where it is given.

    Args:
        t0, t1: the ends; t1 is t0 + 1 unless given.
        w0: the value at t0: its shape, dtype and device are the path's. As for `BrownianInterval`, the first
            dimension is the batch.
        w1: the value at t1, like w0.
        entropy: as for `BrownianInterval`.
        tol, pool_size, cache_depth, safety: no effect; the path is exact, and there is nothing to tune.
    """

    def __init__(
        self,
        t0: Scalar,
        w0: Tensor,
        t1: Scalar | None = None,
        w1: Tensor | None = None,
        entropy: Entropy | None = None,
        tol: float = 1e-6,
        pool_size: int = 24,
        cache_depth: int = 9,
        safety: float | None = None,
    ) -> None:
        interval = BrownianInterval(
            t0=t0,
            t1=t0 + 1 if t1 is None else t1,
            size=w0.shape,
            dtype=w0.dtype,
            device=w0.device,
            entropy=entropy,
            tol=tol,
            pool_size=pool_size,
            halfway_tree=True,
            W=None if w1 is None else w1 - w0,
        )
        super().__init__(interval, w0)


class BrownianPath(_Started):
    """Brownian motion from w0 at t0 on, with a fresh entropy and no end.

    torchsde's ends at t0 + 1, after which its increments are 0, with a warning.

    Args:
        t0: the start.
        w0: the value there: its shape, dtype and device are the path's.
        window_size: no effect.
    """

    def __init__(self, t0: Scalar, w0: Tensor, window_size: int = 8) -> None:
        interval = BrownianInterval(
            t0=t0, t1=math.inf, size=w0.shape, dtype=w0.dtype, device=w0.device, cache_size=None
        )
        super().__init__(interval, w0)
