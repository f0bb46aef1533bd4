"""The solution inside a step of each sample: the cubic Hermite polynomial of an ODE, the straight line of an
SDE.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .grid import StepGrid
from .march import Problem
from .state import Value, each, parts_of, where


class Curve:
    """From a share 0 to 1 of a step of each sample.

    Args:
        steps: int64 (batch,), on the CPU: their numbers.
        y0, y1: the states at their ends.
    """

    def __init__(self, problem: Problem, grid: StepGrid, steps: Tensor, y0: Value, y1: Value) -> None:
        self.y0, self.y1, self.like = y0, y1, parts_of(y0)[0]
        # With a gradient by the requested times, where it is asked for.
        points = next(iter(problem.timeline.inputs()), grid.points)
        points = points if grid.per_sample else points.unsqueeze(1).expand(-1, len(steps))
        columns = torch.arange(len(steps))
        self.t0, self.t1 = (points[steps + k, columns].to(self.like.device) for k in (0, 1))
        self.slopes: Any = None
        if not problem.equation.has_noise:
            self.slopes = self._own_slopes(problem) if grid.per_sample else _slopes(problem, steps, y0, y1)

    def detached(self) -> Curve:
        """The same curve, off the tape."""
        copy = object.__new__(Curve)
        copy.t0, copy.t1, copy.like = self.t0, self.t1, self.like
        copy.y0, copy.y1 = (each(torch.Tensor.detach, y) for y in (self.y0, self.y1))
        copy.slopes = None
        if self.slopes is not None:
            copy.slopes = tuple(each(torch.Tensor.detach, s) for s in self.slopes)
        return copy

    def time(self, share: Tensor) -> Tensor:
        """(batch,), of y's dtype."""
        return (self.t0 + share * (self.t1 - self.t0)).to(self.like.dtype)

    def __call__(self, share: Tensor) -> Value:
        def value(a: Tensor, b: Tensor, *slopes: Tensor) -> Tensor:
            shape = (-1, *(1,) * (a.dim() - 1))
            s = share.to(a.dtype).view(shape)
            line = a + s * (b - a)
            if not slopes:
                return line
            h = (self.t1 - self.t0).to(a.dtype).view(shape)
            left, right = slopes[0] * h - (b - a), (b - a) - slopes[1] * h
            return line + s * (1.0 - s) * ((1.0 - s) * left + s * right)

        return each(value, self.y0, self.y1, *(self.slopes or ()))

    def _own_slopes(self, problem: Problem) -> tuple[Value, Value]:
        """f at both ends, at the times of each sample's own grid."""
        shape = (-1, *(1,) * (self.like.dim() - 1))
        ends = (t.to(self.like.dtype).view(shape) for t in (self.t0, self.t1))
        return problem.equation.f(next(ends), self.y0), problem.equation.f(next(ends), self.y1)


def _slopes(problem: Problem, steps: Tensor, y0: Value, y1: Value) -> tuple[Value, Value]:
    """f at both ends. On a grid for all it is given one time for all, here as in every step: it is evaluated
    once at each point where a sample's step begins or ends.
    """
    points = torch.cat([steps, steps + 1]).unique()
    device = parts_of(y0)[0].device
    slopes = []
    for k in points.tolist():
        y = where((steps + 1 == k).to(device), y1, y0)
        slopes.append(problem.equation.f(problem.timeline.time(k), y))  # type: ignore[union-attr]
    stacked = each(lambda *parts: torch.stack(parts), *slopes)
    columns = torch.arange(len(steps), device=device)
    rows = (torch.searchsorted(points, steps + k).to(device) for k in (0, 1))
    start, end = (each(lambda s, r=r: s[r, columns], stacked) for r in rows)
    return start, end
