"""Where a solve stopped being finite: asked once, at the end; searched for only when it did."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from .equation import Equation
from .march import Problem, Trajectory
from .state import parts_of


class NotFinite(ArithmeticError):
    """f, g or the state became infinite or not a number.

    Attributes:
        time: of the start of the step, a number, or of each sample.
        step: its number, from 0.
        state: there, the last finite one.
    """

    def __init__(self, message: str, time: Any, step: int, state: Any) -> None:
        super().__init__(message)
        self.time, self.step, self.state = time, step, state


def check_finite(problem: Problem, trajectory: Trajectory) -> None:
    """NotFinite if the state at the end is not finite; once that, a state stays so."""
    # A sum is finite only where all its terms are; where it is not, the terms may be.
    ends = [x.detach() for x in parts_of(trajectory.end)]
    if all(math.isfinite(x.sum()) or bool(x.isfinite().all()) for x in ends):
        return
    with torch.no_grad():
        raise _found(problem)


def not_finite_at_start(equation: Equation, t: Tensor, y0: Any) -> NotFinite | None:
    """What is not finite of y0, f(t, y0) and g(t, y0), if anything is."""
    if not _is_finite(y0):
        sentence: str | None = "y0 is not finite"
    else:
        sentence = _cause(equation, t, y0, f"at the start, t = {_shown(t)}, {_size(y0)}")
    return None if sentence is None else NotFinite(sentence, _number(t), 0, y0)


def _found(problem: Problem) -> NotFinite:
    """The first step that ends in a state that is not finite, by taking all again."""
    equation, method = problem.equation, problem.method
    y, carry = problem.y0, problem.carry
    if not _is_finite(y):
        return NotFinite("y0 is not finite", _number(problem.timeline.first), 0, y)
    k, time = 0, problem.timeline.first
    carry = problem.start() if carry is None else carry
    for start, stop in problem.timeline.blocks():
        for k, step in enumerate(problem.timeline.block(start, stop), start):
            y1, carry = method.advance(equation, step, y, carry)
            if not _is_finite(y1):
                return NotFinite(_sentence(problem, step, y, k), _number(step.t0), k, y)
            y, time = y1, step.t1
    return NotFinite(f"the solve ended in a state that is not finite, at t = {_number(time)}", time, k, y)


def _sentence(problem: Problem, step: Any, y: Any, k: int) -> str:
    where, at = f"in step {k}, from t = {_shown(step.t0)} to {_shown(step.t1)}", _size(y)
    cause = _cause(problem.equation, step.t0, y, f"{where}, {at}")
    if cause is not None:
        return cause
    if problem.equation.has_noise and not _is_finite(step.W):
        return f"the path's increment is not finite {where}"
    return f"the state is not finite after {where[3:]}, {at}; take smaller steps, or check f and g near there"


def _cause(equation: Equation, t: Tensor, y: Any, where: str) -> str | None:
    """The sentence about f or g at (t, y), if one of them is not finite."""
    if not _is_finite(equation.sde.f(t, y)):
        return f"f(t, y) is not finite {where}; check the drift for such states"
    if equation.has_noise and not _is_finite(equation.sde.g(t, y)):
        return f"g(t, y) is not finite {where}; check the diffusion for such states"
    return None


def _size(y: Any) -> str:
    return f"where |y| is at most {max(float(part.abs().max()) for part in parts_of(y)):.3g}"


def _is_finite(value: Any) -> bool:
    return all(bool(part.isfinite().all()) for part in parts_of(value))


def _number(t: Tensor) -> Any:
    return float(t) if t.numel() == 1 else t.detach().flatten()


def _shown(t: Tensor) -> str:
    return f"{float(t):.6g}" if t.numel() == 1 else f"{float(t.min()):.6g} (the earliest sample)"
