"""Dense output: the solution at any time, by one more step from the point before.

A step from a point of the grid, on the same path, has the method's order and, for an SDE, the right law; a
curve drawn through the points would have neither.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .grid import StepGrid
from .march import Problem
from .state import State, each
from .timeline import Timeline


class Dense:
    """The solution as a function of time, between its first and last.

    Attributes:
        points: float64, the times of all step points, (steps + 1,) or (steps + 1, batch).
        states: the states there, (steps + 1, *y0.shape), or a tuple of such.
    """

    def __init__(self, problem: Problem, grid: StepGrid, states: Any) -> None:
        self.points, self.states = grid.points, states
        self._problem, self._path = problem, getattr(problem.timeline, "path", None)
        self._sign = -1.0 if bool((self.points[-1] < self.points[0]).any()) else 1.0

    def __call__(self, times: Any) -> Any:
        """y at `times`: a number or (batch,) -> y0's shape; a sequence (n,) -> (n, *y0.shape).

        Raises:
            ValueError: times outside the solution, or a path that knows no times between its points.
        """
        wanted = times if isinstance(times, Tensor) else torch.as_tensor(times, dtype=torch.float64)
        wanted = wanted.detach().to("cpu", torch.float64)
        if self.points.dim() == 2:
            samples = self.points.shape[1]
            if wanted.dim() == 1 and len(wanted) == samples:
                return self._at(wanted)
            rows = [self._at(t.expand(samples)) for t in wanted.reshape(-1)]
        else:
            rows = [self._at(t) for t in wanted.reshape(-1)]
        if wanted.dim() == 0:
            return rows[0]
        stacked = each(lambda *parts: torch.stack(parts), *rows)
        return tuple(stacked) if isinstance(stacked, State) else stacked

    def _at(self, t: Tensor) -> Any:
        points, sign = self.points * self._sign, self._sign
        wanted = (t * sign).reshape(1, -1) if points.dim() == 2 else (t * sign).reshape(1)
        if not bool(((wanted >= points[0]) & (wanted <= points[-1])).all()):
            low, high = sorted((float(self.points[0].min()), float(self.points[-1].max())))
            raise ValueError(f"time {float(t.reshape(-1)[0]):g} is outside the solution, [{low:g}, {high:g}]")
        if points.dim() == 2:
            above = torch.searchsorted(points.t().contiguous(), wanted.t().contiguous(), right=True)
            k = (above.squeeze(1) - 1).clamp(0, len(points) - 1)
            columns = torch.arange(points.shape[1])
            start, ends = self.points[k, columns], torch.stack([self.points[k, columns], t])
            y = self._gather(k.to(self._device), columns.to(self._device))
        else:
            index = int(torch.searchsorted(points, wanted, right=True)[0]) - 1
            start, ends = self.points[index], torch.stack([self.points[index], t])
            y = self._gather(index)
        if bool((start == t).all()):
            return y
        problem = self._problem
        grid = StepGrid(ends, torch.zeros(0, dtype=torch.int64))
        levy_area = problem.method.levy_area_for(problem.equation)
        timeline = Timeline(grid, y, self._path, levy_area=levy_area)
        (step,) = timeline.block(0, 1)
        return problem.method.advance(
            problem.equation, step, y, problem.method.start(problem.equation, step.t0, y)
        )[0]

    @property
    def _device(self) -> torch.device:
        return (self.states[0] if isinstance(self.states, tuple) else self.states).device

    def _gather(self, *index: Any) -> Any:
        states = State(self.states) if isinstance(self.states, tuple) else self.states
        return each(lambda x: x[index], states)
