"""Dense output: the solution at any time, by one more step from the point before.

A step from a point of the grid, on the same path, has the method's order and, for an SDE, the right law; a
curve drawn through the points would have neither.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .events import Stopped
from .grid import StepGrid
from .march import Problem
from .state import State, each, where
from .timeline import Timeline


class Dense:
    """The solution as a function of time, between its first and last; after a sample's event, its state.

    Args:
        times: the requested ones. Where all samples stop, the grid ends before the last of them.

    Attributes:
        points: float64, the times of all step points, (steps + 1,) or (steps + 1, batch).
        states: the states there, (steps + 1, *y0.shape), or a tuple of such.
    """

    def __init__(
        self, problem: Problem, grid: StepGrid, times: Tensor, states: Any, stopped: Stopped | None
    ) -> None:
        self.points, self.states = grid.points, states
        self._ends, self._stopped = times[[0, -1]], stopped
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
        first, last = self._ends * self._sign
        if not bool(((t * self._sign >= first) & (t * self._sign <= last)).all()):
            low, high = sorted((float(self._ends[0].min()), float(self._ends[1].max())))
            raise ValueError(f"time {float(t.reshape(-1)[0]):g} is outside the solution, [{low:g}, {high:g}]")
        if self._stopped is None:
            return self._by_a_step(t, None)
        stopped = self._stopped.is_before(t, backwards=self._sign < 0)
        if bool(stopped.all()):
            return self._stopped.states
        return where(stopped, self._stopped.states, self._by_a_step(t, (~stopped).to(torch.int64)))

    def _by_a_step(self, t: Tensor, stops: Tensor | None) -> Any:
        """y at t, by a step that samples with a 0 in `stops`, (batch,), do not take."""
        points, sign = self.points * self._sign, self._sign
        wanted = (t * sign).reshape(1, -1) if points.dim() == 2 else (t * sign).reshape(1)
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
        grid = StepGrid(ends, torch.zeros(0, dtype=torch.int64), stops)
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
