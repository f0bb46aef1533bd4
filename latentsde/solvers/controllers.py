"""Step controllers: from the requested times to the points of all steps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from .grid import StepGrid, equal_steps, given_steps


class Controller(Protocol):
    """Chooses the steps between the requested times (float64, (times,) or (times, batch))."""

    def grid(self, times: Tensor) -> StepGrid: ...


@dataclass(frozen=True)
class ConstantStep:
    """Equal steps of at most `dt` > 0 inside every interval between requested times."""

    dt: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.dt) and self.dt > 0):
            raise ValueError(f"dt must be a positive number (also backwards in time), got {self.dt}")

    def grid(self, times: Tensor) -> StepGrid:
        return equal_steps(times, self.dt)


@dataclass(frozen=True)
class GivenGrid:
    """Steps at the given points and at every requested time; points outside the requested times are not
    used.
    """

    points: Sequence[float] | Tensor

    def grid(self, times: Tensor) -> StepGrid:
        dtype = self.points.dtype if isinstance(self.points, Tensor) else torch.float64
        points = torch.as_tensor(self.points, dtype=torch.float64, device="cpu")
        if points.dim() != 1 or not bool(points.isfinite().all()):
            raise ValueError("a given grid must be a sequence of finite times")
        return given_steps(times, points, 4 * torch.finfo(dtype).eps if dtype.is_floating_point else 0.0)
