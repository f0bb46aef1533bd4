"""Events: where a condition changes its sign a sample stops, and the time it does so can be differentiated.

The step that holds the first change is found off the tape; inside it the solution is a curve, the cubic
Hermite polynomial of an ODE, the straight line of an SDE, and the event is its root. The gradient is that of
the root as a function of the curve, by the implicit function theorem: exact for the discretised solution.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .grid import StepGrid
from .march import Problem
from .state import State, Value, each, parts_of

_HALVINGS = 60


@dataclass(frozen=True)
class Event:
    """Stop each sample where `condition(t, y)`, (batch,), changes its sign for the first time.

    Args:
        condition: differentiable in t and y, and of each sample a function of that sample alone. A condition
            that starts at zero has no sign yet.
        direction: only changes to positive (1) or to negative (-1) count; 0 is either.
    """

    condition: Callable[[Tensor, Any], Tensor]
    direction: int = 0

    def __post_init__(self) -> None:
        if self.direction not in (-1, 0, 1):
            raise ValueError(f"an event's direction must be -1, 0 or 1, got {self.direction!r}")


@dataclass
class Stopped:
    """Where the samples stopped.

    Attributes:
        occurred: (batch,), whether the condition changed its sign before the last time.
        times: (batch,) float64, differentiable; the last time where it did not.
        states: of y0's shape, at these times.
    """

    occurred: Tensor
    times: Tensor
    states: Any


def first_changes(problem: Problem, grid: StepGrid, event: Event) -> tuple[Tensor, Tensor]:
    """For each sample whether there is a change, and the number of the first step that has one (of the last
    step where there is none), int64 (batch,).
    """
    equation, method, timeline = problem.equation, problem.method, problem.timeline
    with torch.no_grad():
        y, carry = problem.y0, problem.start()
        before = _checked(event.condition(timeline.first, _plain(y)), y)
        occurred = torch.zeros_like(before, dtype=torch.bool)
        found = torch.full(before.shape, grid.steps - 1, dtype=torch.int64, device=before.device)
        k = 0
        for start, stop in timeline.blocks():
            for k, step in enumerate(timeline.block(start, stop), start):
                y, carry = method.advance(equation, step, y, carry)
                after = event.condition(step.t1, _plain(y))
                up, down = (before < 0) & (after >= 0), (before > 0) & (after <= 0)
                changed = up if event.direction > 0 else down if event.direction < 0 else up | down
                new = changed & ~occurred
                found = torch.where(new, k, found)
                occurred = occurred | new
                before = torch.where(after == 0, before, after)
            if bool(occurred.all()):
                break
        return occurred, found


def truncated(grid: StepGrid, steps: Tensor) -> StepGrid:
    """The grid up to the last of the samples' steps, its outputs followed by the two ends of each one's."""
    steps = steps.cpu()
    last = int(steps.max()) + 1
    outputs = grid.outputs if grid.outputs.dim() == 2 else grid.outputs.unsqueeze(1).expand(-1, len(steps))
    ends = torch.stack([steps, steps + 1])
    return StepGrid(grid.points[: last + 1], torch.cat([outputs.clamp_max(last), ends]))


def stop(problem: Problem, grid: StepGrid, event: Event, occurred: Tensor, steps: Tensor, ys: Any) -> Stopped:
    """The root in each sample's step, whose ends are the last two of `ys`."""
    first = parts_of(ys)[0]
    columns = torch.arange(len(steps))
    steps = steps.cpu()
    # With a gradient by the requested times, where it is asked for.
    points = next(iter(problem.timeline.inputs()), grid.points)
    points = points if grid.per_sample else points.unsqueeze(1).expand(-1, len(steps))
    t0, t1 = (points[steps + k, columns].to(first.device) for k in (0, 1))
    y0, y1 = (each(lambda x, k=k: x[k], State(ys) if isinstance(ys, tuple) else ys) for k in (-2, -1))
    curve = _Curve(problem, t0, t1, y0, y1)

    def condition(share: Tensor) -> Tensor:
        return event.condition(curve.time(share), _plain(curve(share)))

    with torch.no_grad():
        low, high = torch.zeros_like(t0), torch.ones_like(t0)
        sign = condition(low).sign()
        # Where the step begins on the root itself, the sign is that of the way there.
        sign = torch.where(sign == 0, -condition(high).sign(), sign)
        for _ in range(_HALVINGS):
            middle = 0.5 * (low + high)
            same = condition(middle).sign() == sign
            low, high = torch.where(same, middle, low), torch.where(same, high, middle)
        share = torch.where(occurred, 0.5 * (low + high), torch.ones_like(high))
    if torch.is_grad_enabled():
        with torch.enable_grad():
            at = share.detach().requires_grad_()
            (slope,) = torch.autograd.grad(_held(curve, event, at).sum(), at)
            # One step of Newton's method from the root: its value is the root, its gradient the root's.
            slope = torch.where(slope == 0, torch.ones_like(slope), slope)
            moved = share - condition(share).to(share.dtype) / slope
        share = torch.where(occurred, moved, share)
    states = _plain(curve(share))
    return Stopped(occurred, t0 + share * (t1 - t0), states)


def frozen(times: Tensor, ys: Any, stopped: Stopped) -> Any:
    """The states at the requested times, from its event on that of the event."""
    after = (times.view(len(times), -1).to(stopped.times.device) > stopped.times.detach()) & stopped.occurred

    def hold(y: Tensor, at_event: Tensor) -> Tensor:
        return torch.where(after.view(*after.shape, *(1,) * (y.dim() - 2)), at_event, y)

    values = each(hold, State(ys) if isinstance(ys, tuple) else ys, stopped.states)
    return tuple(values) if isinstance(values, State) else values


class _Curve:
    """The solution inside a step of each sample, from a share 0 to 1 of it."""

    def __init__(self, problem: Problem, t0: Tensor, t1: Tensor, y0: Value, y1: Value) -> None:
        self.t0, self.t1, self.y0, self.y1 = t0, t1, y0, y1
        self.like = parts_of(y0)[0]
        self.slopes: Any = None
        if not problem.equation.has_noise:
            f = problem.equation.f
            zero, one = torch.zeros_like(t0), torch.ones_like(t0)
            self.slopes = f(self.time(zero), y0), f(self.time(one), y1)

    def detached(self) -> _Curve:
        """The same curve, off the tape."""
        copy = object.__new__(_Curve)
        copy.t0, copy.t1, copy.like = self.t0, self.t1, self.like
        copy.y0, copy.y1 = (each(torch.Tensor.detach, y) for y in (self.y0, self.y1))
        copy.slopes = None
        if self.slopes is not None:
            copy.slopes = tuple(each(torch.Tensor.detach, s) for s in self.slopes)
        return copy

    def time(self, share: Tensor) -> Tensor:
        """(batch, 1, ...), of y's dtype."""
        t = (self.t0 + share * (self.t1 - self.t0)).to(self.like.dtype)
        return t.view(-1, *(1,) * (self.like.dim() - 1))

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


def _held(curve: _Curve, event: Event, share: Tensor) -> Tensor:
    held = curve.detached()
    return event.condition(held.time(share), _plain(held(share)))


def _plain(y: Any) -> Any:
    return tuple(y) if isinstance(y, State) else y


def _checked(value: Any, y: Any) -> Tensor:
    batch = parts_of(y)[0].shape[:1]
    if not isinstance(value, Tensor) or value.shape != batch:
        shown = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
        raise ValueError(f"an event's condition(t, y) must be a tensor of shape {tuple(batch)}, got {shown}")
    return value
