"""Events: where a condition changes its sign a sample stops, and the time it does so can be differentiated.

The step that holds the first change is found off the tape; the solve that is differentiated ends with it, for
each sample. Inside the step the solution is a `Curve`, and the event is its root. The gradient is that of the
root as a function of the curve, by the implicit function theorem: exact for the discretised solution.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .curve import Curve
from .grid import StepGrid
from .march import Problem
from .state import State, each, parts_of, where

_HALVINGS = 60


@dataclass(frozen=True)
class Event:
    """Stop each sample where `condition(t, y)`, (batch,), changes its sign for the first time.

    Args:
        condition: of t (batch,), the time of each sample in y's dtype, and of y; differentiable in both, and
            of each sample a function of that sample alone. A condition that starts at zero has no sign yet.
        direction: only changes to positive (1) or to negative (-1) count; 0 is either.
    """

    condition: Callable[[Tensor, Any], Tensor]
    direction: int = 0

    def __post_init__(self) -> None:
        if self.direction not in (-1, 0, 1):
            raise ValueError(f"an event's direction must be -1, 0 or 1, got {self.direction!r}")

    def value(self, t: Tensor, y: Any) -> Tensor:
        """The condition at times as f takes them, or (batch,); ValueError for another shape than (batch,)."""
        batch = parts_of(y)[0].shape[0]
        value: Any = self.condition(t.reshape(-1).expand(batch), tuple(y) if isinstance(y, State) else y)
        if not isinstance(value, Tensor) or value.shape != (batch,):
            shown = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
            raise ValueError(
                f"an event's condition(t, y) must be a tensor of shape ({batch},), got {shown}; "
                f"its t has the shape ({batch},) too"
            )
        return value


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

    def is_before(self, times: Tensor, *, backwards: bool) -> Tensor:
        """Whether a sample's event comes before `times`, (..., batch) or (..., 1): (..., batch)."""
        gap = times.to(self.times.device) - self.times.detach()
        return (gap < 0 if backwards else gap > 0) & self.occurred


@dataclass
class Crossed:
    """The step of each sample that has the first change.

    Attributes:
        occurred: (batch,), whether there is one.
        steps: int64 (batch,), its number; the last step's where there is none.
        signs: (batch,), of the condition before it.
    """

    occurred: Tensor
    steps: Tensor
    signs: Tensor


class Changes:
    """Looks at the condition from point to point, which samples' have changed their sign.

    Attributes:
        occurred: (batch,).
    """

    def __init__(self, event: Event, t: Tensor, y: Any) -> None:
        self.event, self.before = event, event.value(t, y)
        self.occurred = torch.zeros_like(self.before, dtype=torch.bool)
        self._steps = torch.zeros_like(self.before, dtype=torch.int64)
        self._signs = torch.zeros_like(self.before)

    def look(self, t: Tensor, y: Any, step: int | Tensor, seen: Tensor | None = None) -> None:
        """At the end of a step: of all samples, or of those that took it, `seen` (batch,)."""
        before, after = self.before, self.event.value(t, y)
        up, down = (before < 0) & (after >= 0), (before > 0) & (after <= 0)
        direction = self.event.direction
        changed = up if direction > 0 else down if direction < 0 else up | down
        moved = after != 0
        if seen is not None:
            changed, moved = changed & seen, moved & seen
        new = changed & ~self.occurred
        self._steps = torch.where(new, step, self._steps)
        self._signs = torch.where(new, before.sign(), self._signs)
        self.occurred = self.occurred | changed
        self.before = torch.where(moved, after, before)

    def crossed(self, steps: int) -> Crossed:
        """What was found in so many steps."""
        return Crossed(self.occurred, torch.where(self.occurred, self._steps, steps - 1), self._signs)


def first_changes(problem: Problem, grid: StepGrid, event: Event) -> Crossed:
    """The first changes in all steps of the grid."""
    equation, method, timeline = problem.equation, problem.method, problem.timeline
    with torch.no_grad():
        y, carry = problem.y0, problem.start()
        changes = Changes(event, timeline.first, y)
        for start, stop in timeline.blocks():
            for k, step in enumerate(timeline.block(start, stop), start):
                # A sample is held once it had its event: what comes after that may overflow.
                going = ~changes.occurred
                y1, carry1 = method.advance(equation, step, y, carry)
                y, carry = where(going, y1, y), where(going, carry1, carry)
                changes.look(step.t1, y, k)
            if bool(changes.occurred.all()):
                break
        return changes.crossed(grid.steps)


def truncated(grid: StepGrid, steps: Tensor) -> StepGrid:
    """The grid up to the last of the samples' steps, where each one stops; its outputs are followed by the
    two ends of each one's.
    """
    steps = steps.cpu()
    stops = steps + 1
    last = int(stops.max())
    outputs = grid.outputs if grid.outputs.dim() == 2 else grid.outputs.unsqueeze(1).expand(-1, len(steps))
    outputs = torch.cat([outputs.clamp_max(last), torch.stack([steps, stops])])
    return StepGrid(grid.points[: last + 1], outputs, stops if bool((stops < last).any()) else None)


def stop(problem: Problem, grid: StepGrid, event: Event, crossed: Crossed, ys: Any) -> Stopped:
    """The root in each sample's step, whose ends are the last two of `ys`."""
    occurred = crossed.occurred
    y0, y1 = (each(lambda x, k=k: x[k], State(ys) if isinstance(ys, tuple) else ys) for k in (-2, -1))
    curve = Curve(problem, grid, crossed.steps.cpu(), y0, y1)

    def condition(share: Tensor, curve: Curve = curve) -> Tensor:
        return event.value(curve.time(share), curve(share))

    with torch.no_grad():
        low, high = torch.zeros_like(curve.t0), torch.ones_like(curve.t0)
        for _ in range(_HALVINGS):
            middle = 0.5 * (low + high)
            # Against the sign that the search saw: where the step begins on the root, up to the rounding in
            # which the two solves differ, the one here may be of either side.
            same = condition(middle).sign() == crossed.signs
            low, high = torch.where(same, middle, low), torch.where(same, high, middle)
        share = torch.where(occurred, 0.5 * (low + high), torch.ones_like(high))
    if torch.is_grad_enabled():
        with torch.enable_grad():
            at = share.detach().requires_grad_()
            (slope,) = torch.autograd.grad(condition(at, curve.detached()).sum(), at)
            # One step of Newton's method from the root: its value is the root, its gradient the root's.
            slope = torch.where(slope == 0, torch.ones_like(slope), slope)
            moved = share - condition(share).to(share.dtype) / slope
        share = torch.where(occurred, moved, share)
    states = curve(share)
    times = curve.t0 + share * (curve.t1 - curve.t0)
    return Stopped(occurred, times, tuple(states) if isinstance(states, State) else states)


def frozen(times: Tensor, ys: Any, stopped: Stopped) -> Any:
    """The states at times in their order, (times,) or (times, batch), from its event on that of the event."""
    backwards = bool((times[-1] < times[0]).any())
    after = stopped.is_before(times.view(len(times), -1), backwards=backwards)

    def hold(y: Tensor, at_event: Tensor) -> Tensor:
        return torch.where(after.view(*after.shape, *(1,) * (y.dim() - 2)), at_event, y)

    values = each(hold, State(ys) if isinstance(ys, tuple) else ys, stopped.states)
    return tuple(values) if isinstance(values, State) else values
