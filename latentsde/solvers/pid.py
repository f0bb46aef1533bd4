"""PID: steps as long as an error estimate allows."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class PID:
    """Adaptive steps: each is taken, its error estimated, and taken again shorter if that is too large.

    The estimate is the method's own where it has one (`Method.embedded`; of general noise only where the
    method takes areas of the path), else the difference to two half steps, which are then what is kept. A
    step shortened after a rejection is taken on the same path. With e the estimate's root mean square over a
    sample, in units of atol + rtol |y|, the next length is

        h · safety · e_n^-β1 · e_(n-1)^-β2 · e_(n-2)^-β3,    β = (p + i + d, -(p + 2 d), d) / order

    (Söderlind 2003, "Digital filters in adaptive time-stepping"), changed at most by the given factors.

    Args:
        rtol, atol: what an error of 1 is, relative and absolute.
        dt0: the first step to try; by default from the size of the drift.
        dt_min, dt_max: bounds of a step. A step that would have to be shorter is a `StepTooSmall`.
        p, i, d: the controller's gains; by default (0.1, 0.3, 0) for SDEs and (0, 1, 0) for ODEs.
        safety, factor_min, factor_max: see above.
        per_sample: each sample takes its own steps. Otherwise all take those of the worst one.
        max_steps: of the longest sample, rejected ones included.
    """

    rtol: float = 1e-3
    atol: float = 1e-6
    dt0: float | None = None
    dt_min: float | None = None
    dt_max: float | None = None
    p: float | None = None
    i: float | None = None
    d: float | None = None
    safety: float = 0.9
    factor_min: float = 0.2
    factor_max: float = 5.0
    per_sample: bool = False
    max_steps: int = 1_000_000

    def __post_init__(self) -> None:
        for name in ("rtol", "atol"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise ValueError(f"{name} must be a number of at least 0, got {value!r}")
        if self.rtol == 0 and self.atol == 0:
            raise ValueError("rtol and atol are both 0: no step is short enough; give one of them")
        for name in ("dt0", "dt_min", "dt_max"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise ValueError(f"{name} must be a positive number or None, got {value!r}")
        if self.dt_min is not None and self.dt_max is not None and self.dt_min > self.dt_max:
            raise ValueError(f"dt_min = {self.dt_min:g} is more than dt_max = {self.dt_max:g}")
        if not (0 < self.safety <= 1 and 0 < self.factor_min < 1 < self.factor_max):
            raise ValueError(
                "a PID needs 0 < safety <= 1 and factor_min < 1 < factor_max, "
                f"got {self.safety}, {self.factor_min} and {self.factor_max}"
            )
        if self.max_steps < 1:
            raise ValueError(f"max_steps must be at least 1, got {self.max_steps}")

    def exponents(self, order: float, has_noise: bool) -> tuple[float, float, float]:
        """(β1, β2, β3) above, for an error that falls as h^order."""
        default = (0.1, 0.3, 0.0) if has_noise else (0.0, 1.0, 0.0)
        p, i, d = (x if x is not None else y for x, y in zip((self.p, self.i, self.d), default, strict=True))
        return (p + i + d) / order, -(p + 2.0 * d) / order, d / order
