"""The loop, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .equation import Equation
from .methods import Method, Step
from .state import State, Value, each
from .timeline import Part, Timeline

Advance = Callable[[Timeline | Part, int, int, Value, Any], tuple[list[Value], Any]]


@dataclass
class Problem:
    """What there is to solve, as every adjoint takes it.

    Attributes:
        equation, method, timeline: see there.
        y0: where it starts.
        carry: what the method carried to there, or None to start it.
        wanted: for each of the steps + 1 points, whether its state is to be kept; bytes take the least room.
        advance: (timeline, start, stop, y, carry) -> (the state after each of these steps, carry), where
            something other than the plain loop takes them.
    """

    equation: Equation
    method: Method
    timeline: Timeline | Part
    y0: Value
    carry: Any
    wanted: Sequence[int]
    advance: Advance | None = None

    def start(self) -> Any:
        """The carry to begin with."""
        if self.carry is not None:
            return self.carry
        return self.method.start(self.equation, self.timeline.first, self.y0)


@dataclass
class Trajectory:
    """States at the wanted points, the functional's totals (batch,) there (None without one), and the state,
    the total and the carry at the end.
    """

    states: list[Value]
    totals: list[Tensor] | None
    end: Value
    total: Tensor | None
    carry: Any


def march(problem: Problem) -> Trajectory:
    """All steps, from the first point to the last."""
    functional = None
    if hasattr(problem.equation.sde, "functional"):
        functional = Functional(problem.equation.sde, problem.y0)
    y, carry, states = problem.y0, problem.start(), [problem.y0]
    for start, stop in problem.timeline.blocks():
        # In a call of its own, so that a block's noise is gone before the next one's is drawn.
        y, carry = _take(problem, start, stop, y, carry, states, functional)
    if functional is None:
        return Trajectory(states, None, y, None, carry)
    return Trajectory(states, functional.totals, y, functional.total, carry)


def _take(
    problem: Problem,
    start: int,
    stop: int,
    y: Value,
    carry: Any,
    states: list[Value],
    functional: Functional | None,
) -> tuple[Value, Any]:
    """(y, carry) after the steps start .. stop - 1; the wanted states are appended, the functional added."""
    equation, method = problem.equation, problem.method
    wanted = problem.wanted[start + 1 : stop + 1]
    before = [y]
    if problem.advance is not None:
        after, carry = problem.advance(problem.timeline, start, stop, y, carry)
        states.extend(z for z, keep in zip(after, wanted, strict=True) if keep)
        y = after[-1]
        before.extend(after[:-1])
        steps = problem.timeline.block(start, stop) if functional is not None else []
    else:
        steps = problem.timeline.block(start, stop)
        for step, keep in zip(steps, wanted, strict=True):
            if functional is not None:
                functional.watch(step.t0, y)
            y, carry = method.advance(equation, step, y, carry)
            if keep:
                states.append(y)
            if functional is not None:
                functional.look()
                before.append(y)
    if functional is not None:
        functional.add(steps, before[: stop - start], wanted)
    return y, carry


class Functional:
    """The running sums of an SDE's additive functional by the left-point rule, kept at the wanted points."""

    def __init__(self, sde: Any, y0: Value) -> None:
        self.sde = sde
        self.vectorized = is_vectorized(sde)
        self.watches = hasattr(sde, "watch")
        self._seen: list[tuple[Tensor, Tensor] | None] = []
        first = y0[0] if isinstance(y0, State) else y0
        self.total: Tensor = first.new_zeros(first.shape[:1])
        self.totals = [self.total]

    def watch(self, t: Any, y: Value) -> None:
        """A step from (t, y) begins."""
        if self.watches:
            self.sde.watch(t, y)

    def look(self) -> None:
        """The step has been taken: keep what it evaluated at its start since `watch`."""
        if self.watches:
            self._seen.append(self.sde.seen())

    def over(self, step: Step, y: Value) -> Tensor:
        """The functional (batch,) over one step from y, of what the step has evaluated since `watch`."""
        self.look()
        self.add([step], [y], [True])
        return self.total

    def add(self, steps: list[Step], before: list[Value], wanted: Sequence[int]) -> None:
        """The functional over `steps`, each from its state in `before`; totals are kept where wanted."""
        seen, self._seen = self._seen or [None] * len(steps), []
        if not self.vectorized:
            for step, y, fields, keep in zip(steps, before, seen, wanted, strict=True):
                self.total = self.total + self.sde.functional(step.t0, y, step.h, step.W, *fields or ())
                if keep:
                    self.totals.append(self.total)
            return
        if not steps:
            return
        first = before[0][0] if isinstance(before[0], State) else before[0]
        axes = (1,) * first.dim()
        t = torch.stack([step.t0 for step in steps])
        lengths = [step.h[0] if isinstance(step.h, State) else step.h for step in steps]
        if isinstance(lengths[0], Tensor):
            h = torch.stack(lengths)
        else:
            h = torch.tensor(lengths, dtype=first.dtype, device=first.device)
        if t.dim() == 1:
            t, h = t.view(-1, *axes), h.view(-1, *axes)
        y = each(lambda *parts: torch.stack(parts), *before)
        W = None if steps[0].W is None else each(lambda *parts: torch.stack(parts), *(s.W for s in steps))
        known = [pair for pair in seen if pair is not None]
        stacked = (
            [torch.stack(parts) for parts in zip(*known, strict=True)] if len(known) == len(seen) else []
        )
        running = self.total + self.sde.functional(t, y, h, W, *stacked).cumsum(0)
        self.total = running[-1]
        rows = [k for k, keep in enumerate(wanted) if keep]
        self.totals.extend(running[rows].unbind(0) if len(rows) < len(running) else running.unbind(0))


def is_vectorized(sde: Any) -> bool:
    """Whether an SDE's functional takes many steps at once."""
    return hasattr(sde, "functional") and bool(getattr(sde, "functional_vectorized", False))
