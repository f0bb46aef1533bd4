"""What `solve` returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from .dense import Dense
from .events import Stopped


@dataclass
class Stats:
    """What a solve cost and what it chose.

    `steps` counts the solver's steps (of the longest sample where each has its own grid), `rejected` those
    taken back; `seed` is None for an ODE and for a path that the caller gave.
    """

    steps: int
    rejected: int
    drift_evaluations: int
    diffusion_evaluations: int
    method: str
    seed: int | None


@dataclass
class Solution:
    """The path at the requested times.

    Attributes:
        ts: the requested times, float64, (times,) or (times, batch).
        ys: (times, *y0.shape), or a tuple of such tensors; ys[0] is y0.
        stats: costs and choices.
        functional: (times, batch), the additive functional of the SDE accumulated since ts[0]; None if the
            SDE has none.
        carry: what the method carries besides y, at the end; None for most.
        event: where the samples stopped, if an event was asked for.
        at: the solution at any time, if `dense` was: `solution.at(times)`.
    """

    ts: Tensor
    ys: Any
    stats: Stats
    functional: Tensor | None = None
    carry: Any = None
    event: Stopped | None = None
    at: Dense | None = None
